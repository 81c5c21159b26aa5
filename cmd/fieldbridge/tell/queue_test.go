package tell

import (
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

func TestPrintQueue(t *testing.T) {
	r := folder.Report{Dir: "queue", Waiting: bridge.Count{Batches: 6, Readings: 58}, Bytes: 52 << 10,
		BytesPerReading: 1157.57,
		Segments:        []folder.SegmentInfo{{File: "seg-1.db", Waiting: bridge.Count{Batches: 5, Readings: 46}}}}
	said := func() string {
		var b strings.Builder
		Queue(&b, r)
		return b.String()
	}
	if got := said(); !strings.Contains(got, "12 readings of them are in memory, and not on disk yet\n") ||
		strings.Contains(got, "bytes a reading") {
		t.Errorf("a young queue:\n%s", got)
	}
	r.Bytes, r.BytesPerReading, r.Waiting.Readings = 64<<20, 8.25, 46
	if got := said(); strings.Contains(got, "in memory") || !strings.Contains(got, "8.25 bytes a reading") {
		t.Errorf("one that has grown:\n%s", got)
	}
	r.Segments[0].Damage, r.Waiting.Readings = "torn", 90
	if got := said(); strings.Contains(got, "in memory") {
		t.Errorf("what a damaged segment has is not known:\n%s", got)
	}
}
