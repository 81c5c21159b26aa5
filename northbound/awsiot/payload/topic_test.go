package payload

import (
	"strconv"
	"strings"
	"testing"

	"fieldbridge/bridge"
)

// TestPointInTopic: a topic of each point takes what the collector splits, and messages
// hold that point alone; what was queued whole goes to the topic of all.
func TestPointInTopic(t *testing.T) {
	for _, format := range []Format{Rows, Columns, Flat} {
		f := formatOf(t, Settings{Topic: "plant/{gateway}/{device}/{point}", MaxMessage: 5000, Format: format}, nil)
		whole := bridge.Batch{Device: "boiler", At: noon}
		for i := range 3 {
			whole.Readings = append(whole.Readings, reading("p"+strconv.Itoa(i), bridge.Int(int64(i))))
		}
		if topic := f.Topic(&whole); topic != "plant/press-line-2/boiler/all" {
			t.Errorf("%s: what was queued whole goes to %s", format, topic)
		}
		var all []bridge.Entry
		for range 2 {
			for rest := whole; len(rest.Readings) > 0; {
				n, _ := f.Fit(&rest)
				part := rest
				part.Readings, rest.Readings = rest.Readings[:n], rest.Readings[n:]
				all = append(all, bridge.Entry{Run: "r", Seq: uint64(len(all) + 1), Batch: part})
			}
		}
		if len(all) != 6 {
			t.Fatalf("%s: %d batches of 6 readings", format, len(all))
		}
		m, n, err := f.Pack([]bridge.Entry{all[1], all[4], all[2]})
		want := 2
		if format == Flat {
			want = 1
		}
		if err != nil || n != want || m.Topic != "plant/press-line-2/boiler/p1" ||
			strings.Contains(string(m.Payload), `"p2"`) {
			t.Errorf("%s: %d batches, %v on %s: %s", format, n, err, m.Topic, m.Payload)
		}
	}
}

func TestTopicTemplates(t *testing.T) {
	labels := map[string]string{"site": "brno"}
	for text, want := range map[string]string{
		"plant":                          "plant",
		"{point}/{device}":               "temp/boiler",
		"{device}{point}{device}":        "boilertempboiler",
		"{label.site}/{gateway}/{point}": "brno/g/temp",
	} {
		topic, err := ParseTopic(text, "g", labels)
		if err != nil {
			t.Fatal(err)
		}
		got := topic.Fill("boiler", "temp")
		if got != want || topic.size("boiler", "temp") != len(want) {
			t.Errorf("%s: %s of %d bytes, want %s", text, got, topic.size("boiler", "temp"), want)
		}
	}
	for text, want := range map[string]string{
		"{point":   "not closed",
		"{points}": "not known",
		strings.Repeat("x", 129) + "{point}{device}": "257 bytes",
		"a/b/c/d/e/f/{device}/{gateway}/{point}":     "8 slashes",
	} {
		s := validSettings()
		s.Topic = text
		if found := s.Validate("g", labels); len(found) == 0 || !strings.Contains(found[0].Text, want) {
			t.Errorf("%s: %+v, want %q", text, found, want)
		}
	}
	if found := ValidateTopic("status/{point}", "g", labels, "status_topic"); len(found) != 1 ||
		!strings.Contains(found[0].Text, "{point} has no meaning") {
		t.Errorf("%+v", found)
	}
}
