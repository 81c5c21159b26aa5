package poll

import (
	"fmt"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// text returns a field of a string of 8 bytes.
func text(name string, address int) *point.Field {
	f := &point.Field{Name: name, TypeName: "string", Kind: point.KindString, Table: wire.Holding, Address: address,
		Words: 4, Every: time.Second, Special: &point.Special{Length: 8}}
	f.Settle()
	return f
}

// TestTextThatStaysCostsNothing: and devices that share their fields do not share
// what they read.
func TestTextThatStaysCostsNothing(t *testing.T) {
	fields := []*point.Field{text("a", 0), register(4), text("b", 5)}
	lay := func() *job {
		j := NewDevice(testSpec(fields), plan.Cost{Request: time.Second}, plan.Learnt{}).jobs[0]
		j.plan()
		j.readings = make([]bridge.Reading, 0, 3)
		return j
	}
	read := func(j *job, data string) {
		j.readings = j.readings[:0]
		j.take(j.blocks[0], []byte(data), time.Time{}, nil)
	}
	here, there := lay(), lay()
	n := testing.AllocsPerRun(100, func() {
		read(here, "FB-50\x00\x00\x00\x00\x01left    ")
		read(there, "FB-51\x00\x00\x00\x00\x01right   ")
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	for j, want := range map[*job]string{here: "FB-50 1 left", there: "FB-51 1 right"} {
		got := fmt.Sprint(j.readings[0].Value, j.readings[1].Value, j.readings[2].Value)
		if len(j.readings) != 3 || got != want {
			t.Errorf("read %s, want %s", got, want)
		}
	}
}
