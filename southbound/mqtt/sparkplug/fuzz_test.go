package sparkplug

import (
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/sparkplug/sparkplugtest"
)

// FuzzTake checks that no message makes a node fall over, that no point comes
// twice at one time, and that every device that dies was bound.
func FuzzTake(f *testing.F) {
	metric, structured := sparkplugtest.Metric, sparkplugtest.Structured
	f.Add([]byte(spark(0, metric("bdSeq", 0, 8, uint64(3)), metric("a", 1, 3, 1), metric("b", 2, 12, "x"))), uint8(0))
	f.Add([]byte(spark(1, metric("", 1, 0, 1), metric("", 9, 0, nil))), uint8(3))
	f.Add([]byte(spark(0,
		structured("a", 1, 16, metricDataSet, sparkplugtest.Table(sparkplugtest.Row(nil, "x", true))),
		structured("b", 2, 19, metricTemplate, sparkplugtest.Members(metric("c", 0, 3, 1))),
		structured("d", 3, 32, metricBytes, []byte{1, 0, 0, 0, 0x80}),
		structured("e", 4, 33, metricBytes, []byte("x\x00y")))), uint8(0))
	kinds := []string{"NBIRTH/n", "DBIRTH/n/d", "NDATA/n", "DDATA/n/d", "DDEATH/n/d", "NDEATH/n"}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		nodes := NewNodes[string]()
		to, ok := ParseTopic("spBv1.0/g/" + kinds[int(kind)%len(kinds)])
		if !ok {
			t.Fatal("the topic is refused")
		}
		for range 2 { // what it leaves behind, too
			a := nodes.Node(to).Take(to, to.Name(true), body, arrival)
			for _, out := range a.Results {
				names := make(map[string]bool)
				for _, reading := range out.Readings {
					if names[reading.Point] || !bridge.ValidPoint(bridge.PointName(reading.Point)) {
						t.Errorf("point %q is invalid or comes twice", reading.Point)
					}
					names[reading.Point] = true
				}
				if len(out.Readings) == 0 {
					t.Errorf("a result of %v without readings", out.At)
				}
			}
			for _, dead := range a.Dead {
				if dead != to.Name(true) {
					t.Errorf("%q dies", dead)
				}
			}
			if a.Rebirth != nil && a.Topic != "spBv1.0/g/NCMD/n" {
				t.Errorf("asks %s", a.Topic)
			}
		}
	})
}
