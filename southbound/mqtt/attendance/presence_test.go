package attendance

import (
	"testing"
	"time"

	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/payload"
)

// A message in which a device comes several times is one message: what is wrong with a
// part of it is wrong since the first such message, not since the last.
func TestBlameOfParts(t *testing.T) {
	var p Presence
	begin := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		s := Sign{Topic: "log", At: begin.Add(time.Duration(i) * 30 * time.Second)}
		p.Hear(s, true)
		p.Blame(s, payload.FaultUnit, "v")
		p.Hear(s, true)
		p.Blame(s, payload.FaultType, "w")
		p.Hear(s, true)
	}
	v := p.Verdict(Subject{}, begin.Add(2*time.Minute))
	if v.Kind != condition.SensorPartlyRead || !v.Since.Equal(begin) {
		t.Errorf("%v since %v, want partly read since %v", v.Kind, v.Since, begin)
	}
	p.Hear(Sign{Topic: "log", At: begin.Add(3 * time.Minute)}, true)
	if v := p.Verdict(Subject{}, begin.Add(3*time.Minute)); v.Kind != nil {
		t.Errorf("%v after a message that was read", v.Kind)
	}
}
