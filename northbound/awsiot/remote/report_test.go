package remote

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShadowStaysSmall(t *testing.T) {
	devices := make(map[string]any)
	for i := range 500 {
		devices[fmt.Sprint("device-", i)] = map[string]any{"state": "good", "points": 20}
	}
	problems := make([]any, 60)
	for i := range problems {
		problems[i] = "bus plc: tcp://10.0.0.5:502 refuses connections: check that it is on and can be reached"
	}
	report := func() map[string]any { return map[string]any{"devices": devices, "queue": 1, "problems": problems} }
	got, err := shorten(report(), maxShadow)
	if err != nil || got["devices"] != nil || got["devices_left_out"] != json.Number("500") ||
		got["problems_left_out"] != json.Number("55") || got["queue"] != json.Number("1") {
		t.Errorf("report %v, %v", got, err)
	}
	// Of many devices those are told that are not good.
	problems = nil
	for name := range devices {
		devices[name] = "good"
	}
	devices["device-7"] = "timeout"
	got, err = shorten(report(), maxShadow)
	if diff := cmp.Diff(map[string]any{"device-7": "timeout"}, got["devices"]); err != nil || diff != "" ||
		got["devices_good"] != json.Number("499") {
		t.Errorf("report (-want +got):\n%s%v, %v", diff, got, err)
	}
}
