package tell

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/gateway/control"
)

// A bad value stands beside the last good one, never with its unit.
func TestValues(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	boiler := control.Values{Device: "boiler", Now: now, Points: []control.Value{
		{Point: "supply_temp", Text: "71.5", Unit: "°C", At: now.Add(-time.Second), Raw: "02CB"},
		{Point: "return_temp", Bad: "timeout", Unit: "°C", At: now, Raw: "01E2", LastGood: "48.2",
			LastGoodAt: now.Add(-5 * time.Minute)},
		{Point: "fault", Bad: "refused", At: now},
	}}
	for _, tt := range []struct {
		all  []control.Values
		raw  bool
		want string
	}{
		{[]control.Values{boiler}, false, `supply_temp  71.5          °C  1 s ago
return_temp  bad: timeout      0 s ago  last good 48.2 °C, 5 min 0 s ago  01E2
fault        bad: refused      0 s ago  never good
`},
		{[]control.Values{boiler, {Device: "press", Now: now}}, false,
			`boiler  supply_temp  71.5          °C  1 s ago
boiler  return_temp  bad: timeout      0 s ago  last good 48.2 °C, 5 min 0 s ago  01E2
boiler  fault        bad: refused      0 s ago  never good
press   -            nothing since the start
`},
	} {
		var out bytes.Buffer
		Values(&out, tt.all, tt.raw)
		if d := cmp.Diff(tt.want, out.String()); d != "" {
			t.Error(d)
		}
	}
}
