package commission

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/wire"
)

// testDevice returns a device with a register for each name.
func testDevice(names ...string) Device {
	d := Device{Unit: wire.Unit{Name: "boiler", ID: 1, Timeout: 200 * time.Millisecond}, Way: set.Auto,
		Limits: plan.Limits{Words: 125, Bits: 2000, Gap: -1}}
	for i, name := range names {
		f := register(10*i, "uint16", "ABCD")
		f.Name = name
		d.Fields = append(d.Fields, f)
	}
	return d
}

// TestReadPoints: points come in the order they are asked for, each that is not
// there with its own error, and what may be written only is not asked for.
func TestReadPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 1)
		u.Only(modbustest.Holding, 20, 1)
		u.Set(modbustest.Holding, 20, 7)
		m := testMaster(t, sim, time.Second, Options{})
		d := testDevice("a", "hole", "b", "lock")
		d.Fields[3].Special = &point.Special{Writable: &point.Writable{Only: true}}
		d.Fields[0], d.Fields[2] = d.Fields[2], d.Fields[0]
		points, err := m.ReadPoints(t.Context(), d, d.Fields)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range points {
			got = append(got, fmt.Sprintf("%s %s %s %s %v", p.Name, p.Place(), p.Text(), p.Raw, p.Err))
		}
		want := "b holding 20 7 0007 = 7 <nil>\nhole holding 10 bad: exception_2  exception 2, illegal data address\n" +
			"a holding 0 0 0000 = 0 <nil>\nlock holding 30 bad: given_up  it may be written only (access: write), and is " +
			"never read"
		if strings.Join(got, "\n") != want {
			t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
		for _, r := range u.Requests() {
			if r.Address <= 30 && r.Address+r.Count > 30 {
				t.Errorf("what may be written only is read: %+v", r)
			}
		}
		u.Forget()
		u.Always(func(q modbustest.Request, a *modbustest.Answer) { // silent holes, and one that breaks the protocol
			if q.Address <= 10 && q.Address+q.Count > 10 {
				modbustest.Silence(q, a)
			} else if q.Address == 20 {
				modbustest.WrongByteCount(q, a)
			}
		})
		points, err = m.ReadPoints(t.Context(), d, d.Fields)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, p := range points[:3] {
			got = append(got, fmt.Sprintf("%s %s %v, %s", p.Name, p.Text(), p.Err, AdviceOnFile(p.Err, "tcp://10.0.0.5")))
		}
		want = "b bad: protocol read boiler holding 20+1: answer with 2 bytes, byte count 4: 2 were asked; the device " +
			"answers others, the device breaks the protocol here: leave it out, or see what it sends with 'fieldbridge modbus " +
			"read URL ADDRESS --trace'\nhole bad: timeout read boiler holding 10+1: no answer in time; the device answers " +
			"others, it has no such address, or not so many in a row, and says nothing to that: 'fieldbridge modbus scan URL " +
			"--addresses' finds what there is\na 0 <nil>, "
		if strings.Join(got, "\n") != want {
			t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
		u.Always(modbustest.Silence)
		if _, err := m.ReadPoints(t.Context(), d, d.Fields); err == nil {
			t.Error("a device that does not answer is no error")
		}
	})
}

// TestWritePoint: what has to go before goes before, and if that is refused nothing
// is written.
func TestWritePoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		m := testMaster(t, sim, time.Second, Options{})
		d := testDevice("lock", "limit")
		d.Before = []Step{{d.Fields[0], bridge.Uint(6868)}}
		if is, err := m.WritePoint(t.Context(), d, d.Fields[1], bridge.Uint(60)); is.Outcome != bridge.Done || err != nil {
			t.Errorf("%+v, %v", is, err)
		}
		var wrote []int
		for _, r := range u.Requests() {
			if r.Function == 6 {
				wrote = append(wrote, r.Address)
			}
		}
		if fmt.Sprint(wrote) != "[0 10]" {
			t.Errorf("written to %v, want 0 and 10", wrote)
		}
		u.Only(modbustest.Holding, 10, 1)
		is, err := m.WritePoint(t.Context(), d, d.Fields[1], bridge.Uint(70))
		if is.Outcome == bridge.Done || err == nil || !strings.Contains(is.Text, "before_write, lock: exception 2") ||
			u.Get(modbustest.Holding, 10, 1)[0] != 60 {
			t.Errorf("%+v, %v, %d", is, err, u.Get(modbustest.Holding, 10, 1))
		}
	})
}
