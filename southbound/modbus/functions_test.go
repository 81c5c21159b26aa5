package modbus

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// TestF13RegistersOfOtherSizes (F13): a meter whose registers have 1, 2, 4 or 12 bytes
// is read over one connection, by every carrier; what lies together in one request.
func TestF13RegistersOfOtherSizes(t *testing.T) {
	scale := func(s string) *bridge.Decimal {
		var d bridge.Decimal
		if err := d.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		return &d
	}
	points := map[string]setup.Point{
		"clock":      {Input: at(1), Type: "datetime_cosem", Bytes: 12},
		"energy_t1":  {Input: at(0x26), Type: "uint32", Bytes: 4, Scale: scale("0.001")},
		"energy_t2":  {Input: at(0x27), Type: "uint32", Bytes: 4, Scale: scale("0.001")},
		"tariff":     {Input: at(0x0b), Type: "uint8", Bytes: 1},
		"serial":     {Input: at(0x0c), Type: "string", Length: 10, Bytes: 10},
		"voltage_l1": {Input: at(0x6c), Scale: scale("0.1")},
		"current_l1": {Input: at(0x6d), Scale: scale("0.1")},
		"import":     {Input: at(0x6e), Type: "uint32", Bytes: 4},
		"not_there":  {Input: at(0x6f), Type: "uint32", Bytes: 4},
	}
	want := map[string]string{"clock": "1795869930500", "energy_t1": "4000.123", "energy_t2": "0.001", "tariff": "3",
		"serial": "AB12345678", "voltage_l1": "227.7", "current_l1": "1.5", "import": "70000"}
	for framing := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			u := sim.Unit(1)
			u.SetSized(1, 0x07, 0xea, 0x0b, 0x1c, 0x06, 0x0d, 0x2d, 0x1e, 0x32, 0xff, 0xc4, 0)
			u.SetSized(0x26, 0x00, 0x3d, 0x09, 0x7b)
			u.SetSized(0x27, 0, 0, 0, 1)
			u.SetSized(0x0b, 3)
			u.SetSized(0x0c, []byte("AB12345678")...)
			u.SetSized(0x6c, 0x08, 0xe5)
			u.SetSized(0x6d, 0, 15)
			u.SetSized(0x6e, 0, 1, 0x11, 0x70)
			bus := testBus("plc")
			bus.URL = carriers[framing]
			r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"b": bus},
				Devices: map[string]setup.Device{"d": testDevice("b", 1, points)}},
				map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(10 * time.Second)
			synctest.Wait()
			seen := make(map[string]int)
			for _, b := range r.stop() {
				for _, reading := range b.Readings {
					seen[reading.Point+"="+reading.Value.String()]++
				}
			}
			for point, value := range want {
				if seen[point+"="+value] < 9 {
					t.Errorf("%s: %s was %s %d times, want 9: %v", carriers[framing], point, value, seen[point+"="+value], seen)
				}
			}
			if len(seen) > len(want)+2 || strings.Contains(fmt.Sprint(seen), "protocol") {
				t.Errorf("%s: %v", carriers[framing], seen)
			}
			if n := u.CountOf(modbustest.Request{Unit: 1, Function: 4, Address: 0x6c, Count: 3}); n < 6 {
				t.Errorf("%s: 2, 2 and 4 bytes were read together %d times", carriers[framing], n)
			}
		})
	}
}

// TestF21PointsByOtherFunctions (F21): registers of files, the last of a queue and
// objects of the identification are points, by every carrier.
func TestF21PointsByOtherFunctions(t *testing.T) {
	points := map[string]setup.Point{
		"record": {File: at(4), Record: at(1), Type: "uint32"},
		"next":   {File: at(4), Record: at(3)},
		"other":  {File: at(65535), Record: at(0)},
		"newest": {FIFO: at(1246)},
		"pair":   {FIFO: at(1246), Type: "int32"},
		"empty":  {FIFO: at(1247)},
		"vendor": {Object: at(0)},
		"serial": {Object: at(0x80)},
		"late":   {Object: at(0x97)},
		"none":   {Object: at(0x90)},
	}
	want := map[string]string{"record": "65538", "next": "3", "other": "7", "newest": "4660", "pair": "-60876",
		"empty": "bad: sentinel", "vendor": "Acme", "serial": "SN12345678", "late": "x", "none": "bad: given_up"}
	for framing := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			u := sim.Unit(1)
			u.SetFile(4, 9, 1, 2, 3)
			u.SetFile(65535, 7)
			u.SetFIFO(1246, 1, 0xffff, 0x1234)
			u.SetFIFO(1247)
			u.Identify("Acme", "P", "1")
			u.IdentifyMore(0x80, "SN12345678")
			u.IdentifyMore(0x97, "x")
			bus := testBus("plc")
			bus.URL = carriers[framing]
			r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"b": bus},
				Devices: map[string]setup.Device{"d": testDevice("b", 1, points)}},
				map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			last := make(map[string]string)
			for _, b := range r.stop() {
				for _, reading := range b.Readings {
					last[reading.Point] = reading.Value.String()
				}
			}
			for point, value := range want {
				if last[point] != value {
					t.Errorf("%s: %s is %s, want %s", carriers[framing], point, last[point], value)
				}
			}
			if t.Failed() {
				t.Log(r.logged())
			}
		})
	}
}

// TestFunctionsChecked: what cannot be is refused with what to do.
func TestFunctionsChecked(t *testing.T) {
	for _, test := range []struct {
		name  string
		point setup.Point
		want  string
	}{
		{"file 0", setup.Point{File: at(0)}, "files are 1 to 65535"},
		{"record of none", setup.Point{Holding: at(0), Record: at(1)}, "add file"},
		{"file and holding", setup.Point{Holding: at(0), File: at(1)}, "keep one of"},
		{"number of an object", setup.Point{Object: at(1), Type: "uint16"}, "objects are texts"},
		{"object 256", setup.Point{Object: at(256)}, "addresses are 0 to 255"},
		{"writable object", setup.Point{Object: at(1), Writable: &permit.Writable{}}, "only coils and holding registers"},
		{"writable file", setup.Point{File: at(1), Writable: &permit.Writable{}}, "only coils and holding registers"},
		{"long file", setup.Point{File: at(1), Type: "string", Length: 244}, "do not fit in one request"},
		{"long queue", setup.Point{FIFO: at(1), Type: "string", Length: 64}, "do not fit in one request"},
		{"bytes of a coil", setup.Point{Coil: at(1), Bytes: 4}, "remove bytes"},
		{"four for two", setup.Point{Input: at(1), Bytes: 4}, "uint32"},
		{"three", setup.Point{Input: at(1), Bytes: 3, Type: "uint24"}, "even number"},
		{"writable", setup.Point{Holding: at(1), Bytes: 1, Type: "uint8", Writable: &permit.Writable{}}, "its own size"},
		{"one for two", setup.Point{Input: at(1), Bytes: 1}, "uint8"},
	} {
		var d setup.Device
		d.SetDefaults()
		d.Points = map[string]setup.Point{"x": test.point}
		_, problems := setup.Fields(d)
		text := ""
		for _, p := range problems {
			text += p.Text + ": " + p.Fix + "\n"
		}
		if !strings.Contains(text, test.want) {
			t.Errorf("%s: %q, want %q", test.name, text, test.want)
		}
	}
}

// TestF22ReadsThatWrite (F22): a device that answers function 23 alone is read so, and
// is not asked at all while commands are off.
func TestF22ReadsThatWrite(t *testing.T) {
	for framing := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			u := sim.Unit(1)
			u.Set(modbustest.Holding, 7, 4711)
			u.Always(func(r modbustest.Request, a *modbustest.Answer) {
				if r.Function != 23 {
					modbustest.Exception(1)(r, a)
				}
			})
			bus := testBus("plc")
			bus.URL = carriers[framing]
			device := testDevice("b", 1, map[string]setup.Point{"p": {Holding: at(7)}})
			device.Exchange = &setup.Exchange{Holding: 100, Values: []int{1, 65535}}
			r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"b": bus}, Devices: map[string]setup.Device{"d": device}},
				map[string]*modbustest.Simulator{"plc": sim})
			time.Sleep(3 * time.Second)
			if got := fmt.Sprint(u.Get(modbustest.Holding, 100, 2)); got != "[1 65535]" {
				t.Errorf("written %s", got)
			}
			if got := values(r.of("d")[1]); got != "p=4711" {
				t.Errorf("read %s", got)
			}
			r.source.SetOff(true)
			time.Sleep(time.Second)
			n := u.Count()
			time.Sleep(5 * time.Minute)
			if u.Count() != n {
				t.Errorf("%d requests while commands were off", u.Count()-n)
			}
			r.source.SetOff(false)
			time.Sleep(3 * time.Second)
			batches := r.stop()
			if got := values(batches[len(batches)-1]); got != "p=4711" {
				t.Errorf("at last %s", got)
			}
			d, _, err := ByHand(setup.Config{Buses: map[string]setup.Bus{"b": bus},
				Devices: map[string]setup.Device{"d": device}}, "d")
			if err != nil || d.Unit.Exchange != nil {
				t.Errorf("by hand it would be written: %v", err)
			}
		})
	}
}

// TestFunctionsWithPymodbus: function 23 and all objects of function 43/14, as
// pymodbus has them.
func TestFunctionsWithPymodbus(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	port := strconv.Itoa(needtest.Port(t))
	start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", "tcp", port)
	d := firstRun("tcp://127.0.0.1:" + port)
	device := d.Devices["boiler"]
	device.Points = map[string]setup.Point{"written": {Holding: at(20), Type: "uint32"},
		"energy": {Holding: at(100), Type: "uint32",
			Order: "CDAB"}, "vendor": {Object: at(0)}, "name": {Object: at(4)}, "serial": {Object: at(0x80)}}
	device.Exchange = &setup.Exchange{Holding: 20, Values: []int{1, 2}}
	d.Devices["boiler"] = device
	got := values(firstGood(t, d, "boiler"))
	for _, want := range []string{"written=65538", "energy=1234567", "vendor=Acme", "serial=SN12345678",
		"name=Press " + strings.Repeat("x", 200)} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestWriteRegistersOfOtherSizes: 32-bit registers of a flow computer (Enron's Modbus)
// are written by function 16 with all their bytes, by every carrier.
func TestWriteRegistersOfOtherSizes(t *testing.T) {
	for framing := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			u := sim.Unit(1)
			u.SetSized(5001, 0, 0, 0, 7)
			u.SetSized(7001, 0x41, 0xc8, 0, 0)
			u.SetSized(7002, 0, 0, 0, 0)
			bus := testBus("plc")
			bus.URL = carriers[framing]
			w := &permit.Writable{}
			r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"b": bus},
				Devices: map[string]setup.Device{"d": testDevice("b", 1, map[string]setup.Point{
					"batch":   {Holding: at(5001), Type: "uint32", Bytes: 4, Writable: w},
					"density": {Holding: at(7001), Type: "float32", Bytes: 4, Writable: w},
					"wide":    {Holding: at(7001), Type: "float64", Bytes: 4, Writable: w},
				})}}, map[string]*modbustest.Simulator{"plc": sim})
			defer r.stop()
			time.Sleep(2500 * time.Millisecond)
			wantWritten(t, r.set(t, "batch", bridge.Int(70000)), bridge.Done, false, "")
			wantWritten(t, r.set(t, "density", bridge.Float64(-2.5)), bridge.Done, false, "")
			wantWritten(t, r.set(t, "wide", bridge.Float64(12.5)), bridge.Done, false, "")
			time.Sleep(2 * time.Second)
			all := r.of("d")
			if got := values(all[len(all)-1]); got != "batch=70000 density=2.640625 wide=12.5" {
				t.Errorf("%s: %s", carriers[framing], got)
			}
		})
	}
}
