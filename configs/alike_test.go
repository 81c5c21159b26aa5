package configs

import (
	"reflect"
	"strings"
	"testing"
)

// TestProfilePointsAreMadeOnce: devices of one profile have its points as one map, and
// what is wrong with these is told of each.
func TestProfilePointsAreMadeOnce(t *testing.T) {
	const file = `
gateway: g
northbound:
  awsiot: {endpoint: e.iot.eu-central-1.amazonaws.com, certificate: c.pem, private_key: k.pem, topic: x}
profiles:
  meter: {labels: {kind: meter}, points: {a: {holding: 1}, b: {holding: 2, type: TYPE}}}
southbound:
  modbus:
    devices:
      d0: {url: "tcp://h:502", unit_id: 1, profile: meter}
      d1: {url: "tcp://h:502", unit_id: 2, profile: meter, order: DCBA}
      own: {url: "tcp://h:502", unit_id: 3, profile: meter, points: {c: {holding: 3}}}
`
	l, err := Parse("g.yaml", []byte(strings.Replace(file, "TYPE", "int16", 1)))
	if err != nil {
		t.Fatal(err)
	}
	at := func(device string) uintptr {
		return reflect.ValueOf(l.Config.Southbound.Modbus.Devices[device].Points).Pointer()
	}
	if at("d0") != at("d1") {
		t.Error("two devices of a profile have its points twice")
	}
	if at("own") == at("d0") || len(l.Config.Southbound.Modbus.Devices["d0"].Points) != 2 {
		t.Error("a device with a point of its own shares it with others")
	}
	for _, wrong := range []string{"int17", "[1]"} { // found when the points are resolved, when they are read
		_, err = Parse("g.yaml", []byte(strings.Replace(file, "TYPE", wrong, 1)))
		t.Log(err)
		if err == nil || !strings.Contains(err.Error(), "g.yaml:6:") {
			t.Errorf("type %s: %v", wrong, err)
		}
	}
}
