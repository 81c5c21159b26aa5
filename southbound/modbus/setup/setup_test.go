package setup

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

func at(a int) *int { return &a }

func seconds(n float64) setting.Duration { return setting.Duration(n * float64(time.Second)) }

func val(v bridge.Value) Value { return Value{v} }

// testBus returns a bus with the defaults, at host.
func testBus(host string) Bus {
	var b Bus
	b.SetDefaults()
	b.URL = "tcp://" + host
	b.Timeout = setting.Duration(100 * time.Millisecond)
	return b
}

// testDevice returns a device with the defaults.
func testDevice(bus string, unit int, points map[string]Point) Device {
	var d Device
	d.SetDefaults()
	d.Bus, d.UnitID, d.Points = bus, unit, points
	return d
}

func TestSurveyIsValidated(t *testing.T) {
	for want, p := range map[string]Point{
		"a SunSpec model beside input":  {Input: at(1), SunSpec: []int{1}},
		"a SunSpec model beside ref":    {Ref: "40001", SunSpec: []int{1}},
		"model 0":                       {Holding: at(1), SunSpec: []int{0}},
		"model 65535":                   {Holding: at(1), SunSpec: []int{103, 65535}},
		"y is in another SunSpec model": {Holding: at(1), SunSpec: []int{1}, ScalePoint: "y"},
	} {
		c := withPoint(p)
		c.Devices["d"].Points["y"] = Point{Holding: at(2), Type: "int16", SunSpec: []int{2}}
		problems := c.Validate()
		if len(problems) != 1 || problems[0].Text != want {
			t.Errorf("%+v: %v, want %q", p, problems, want)
		}
	}
	if p := withDevice(func(d *Device) { d.SunSpec = []int{70000} }).Validate(); len(p) != 1 ||
		p[0].Text != "model 70000" {
		t.Errorf("%v", p)
	}
}
