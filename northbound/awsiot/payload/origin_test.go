package payload

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// TestOriginOfAnother: what another gateway measured, or this one under other labels, goes
// out as theirs, on the topic of the gateway that sends it, and shares no message.
func TestOriginOfAnother(t *testing.T) {
	old := &bridge.Origin{Gateway: "press-line-9", Labels: map[string]string{"site": "ostrava"}}
	bare := &bridge.Origin{Gateway: "press-line-2"}
	for _, format := range []Format{Rows, Columns, Flat} {
		f := formatOf(t, Settings{Topic: "{label.site}/{gateway}", MaxMessage: 5000, Format: format}, testLabels)
		entries := make([]bridge.Entry, 4)
		for i, o := range []*bridge.Origin{old, bare, nil, nil} {
			entries[i] = entry(uint64(i+1), "a", reading("p", bridge.Int(1)))
			entries[i].Origin = o
		}
		var got []bridge.Origin
		for len(entries) > 0 {
			m, n, err := f.Pack(entries)
			if err != nil {
				t.Fatal(err)
			}
			var o bridge.Origin
			if err := json.Unmarshal(m.Payload, &o); err != nil {
				t.Fatalf("%s: %s: %v", format, m.Payload, err)
			}
			if m.Topic != "brno/press-line-2" {
				t.Errorf("%s: topic %s", format, m.Topic)
			}
			got, entries = append(got, o), entries[n:]
		}
		own := bridge.Origin{Gateway: "press-line-2", Labels: testLabels}
		want := []bridge.Origin{*old, *bare, own}
		if format == Flat {
			want = append(want, own)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}
