package modbus

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// TestOutcomeIsWhatTheSlaveDid: what slaves do with a write, times each confirm,
// in the framings of TCP and of lines: what is told is what the slave did.
// TestOutcomeIsWhatPymodbusDid is the same over real sockets and lines.
func TestOutcomeIsWhatTheSlaveDid(t *testing.T) {
	const address, before = 10, 5
	done, refused, failed, open, enough := toldDone, toldRefused, toldFailed, toldOpen, toldEnough
	put := func(u *modbustest.Unit, v uint16) { u.Set(modbustest.Holding, address, v) }
	slaves := map[string]struct {
		does func(u *modbustest.Unit) modbustest.Behaviour
		told [3]told // by read_back, echo, none
	}{
		"takes": {func(*modbustest.Unit) modbustest.Behaviour { return nil }, [3]told{done, enough, enough}},
		"refuses": {func(u *modbustest.Unit) modbustest.Behaviour { return undo(u, put, before, modbustest.Exception(4)) },
			[3]told{refused, refused, refused}},
		"refuses with a number of its own": {func(u *modbustest.Unit) modbustest.Behaviour {
			return undo(u, put, before, modbustest.Exception(200))
		}, [3]told{refused, refused, refused}},
		"ignores": {func(u *modbustest.Unit) modbustest.Behaviour { return undo(u, put, before, nil) },
			[3]told{open, enough, enough}},
		"changes": {func(u *modbustest.Unit) modbustest.Behaviour { return undo(u, put, 6, nil) },
			[3]told{open, enough, enough}},
		"takes and is silent": {func(*modbustest.Unit) modbustest.Behaviour { return modbustest.Silence },
			[3]told{done, failed, failed}},
		"ignores and is silent": {func(u *modbustest.Unit) modbustest.Behaviour {
			return undo(u, put, before, modbustest.Silence)
		}, [3]told{failed, failed, failed}},
		"takes late": {func(u *modbustest.Unit) modbustest.Behaviour {
			return func(modbustest.Request, *modbustest.Answer) {
				put(u, before)
				time.AfterFunc(310*time.Millisecond, func() { put(u, 7) })
			}
		}, [3]told{done, enough, enough}},
		"acknowledges": {func(*modbustest.Unit) modbustest.Behaviour { return modbustest.Exception(5) },
			[3]told{done, enough, enough}},
		"echoes another address": {func(*modbustest.Unit) modbustest.Behaviour {
			return func(_ modbustest.Request, a *modbustest.Answer) { a.PDU[2]++ }
		}, [3]told{done, open, enough}},
		"echoes another value": {func(*modbustest.Unit) modbustest.Behaviour {
			return func(_ modbustest.Request, a *modbustest.Answer) { a.PDU[4]++ }
		}, [3]told{done, open, enough}},
		"answers as another function": {func(*modbustest.Unit) modbustest.Behaviour { return modbustest.WrongFunction },
			[3]told{done, failed, failed}},
		"takes and hangs up": {func(*modbustest.Unit) modbustest.Behaviour {
			return func(_ modbustest.Request, a *modbustest.Answer) { a.Copies, a.Close = 0, true }
		}, [3]told{done, failed, failed}},
	}
	for scheme, framing := range map[string]modbustest.Framing{"tcp": modbustest.TCP, "rtu+tcp": modbustest.RTU,
		"ascii+tcp": modbustest.ASCII} {
		for name, slave := range slaves {
			for i, by := range confirms {
				t.Run(fmt.Sprintf("%s/%s/%s", scheme, name, by), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						want := slave.told[i]
						if scheme == "tcp" && name == "answers as another function" {
							want = [3]told{done, open, enough}[i] // its transaction says that it is the answer
						}
						writeToSlave(t, scheme+"://plc:1", framing, by, slave.does, want)
					})
				})
			}
		}
	}
}

// writeToSlave writes 7 to holding 10 of a slave that does something with it, and
// checks what is told and that it came once.
func writeToSlave(t *testing.T, url string, framing modbustest.Framing, by string,
	does func(*modbustest.Unit) modbustest.Behaviour, want told) {
	t.Helper()
	sim := modbustest.New()
	sim.Framing = framing
	u := sim.Unit(1)
	u.Set(modbustest.Holding, 10, 5)
	within := setting.Duration(time.Second)
	p := setup.Point{Holding: at(10), Writable: &permit.Writable{}, Confirm: &permit.Confirm{By: by}}
	if by == "read_back" {
		p.Confirm.Within = &within
	}
	b := testBus("plc")
	b.URL, b.Timeout = url, setting.Duration(300*time.Millisecond)
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b},
		Devices: map[string]setup.Device{"d": testDevice("plc", 1, map[string]setup.Point{"w": p})}}
	r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
	defer r.stop()
	time.Sleep(1550 * time.Millisecond) // between two polls
	if behaviour := does(u); behaviour != nil {
		u.Always(touching(10, behaviour, 6))
	}
	is := r.set(t, "w", bridge.Int(7))
	if got := (told{is.Outcome, is.Enough}); got != want {
		t.Errorf("told %+v, want %+v", is, want)
	}
	if n := touches(u, 10, 6); n != 1 {
		t.Errorf("written %d times", n)
	}
}

// undo makes a slave that has v after a write, whatever was written.
func undo(u *modbustest.Unit, put func(*modbustest.Unit, uint16), v uint16,
	then modbustest.Behaviour) modbustest.Behaviour {
	return func(r modbustest.Request, a *modbustest.Answer) {
		if put(u, v); then != nil {
			then(r, a)
		}
	}
}

// writeOnce runs a source, and writes 7 to w of d once d was polled and ready has
// returned.
func writeOnce(t *testing.T, cfg setup.Config, ready func()) (is bridge.Written) {
	t.Helper()
	running(t, cfg, func(s *Source) {
		ready()
		is = s.Write(t.Context(), bridge.Command{Device: "d", Point: "w", Value: bridge.Int(7)})
	})
	return is
}

// TestWriteToADeviceThatHangsUp: a device that ends the connection after each
// answer gets a write once, on a new one.
func TestWriteToADeviceThatHangsUp(t *testing.T) {
	for scheme, framing := range map[string]modbustest.Framing{"tcp": modbustest.TCP, "rtu+tcp": modbustest.RTU} {
		sim := modbustest.New()
		sim.Framing = framing
		u := sim.Unit(1)
		u.Always(modbustest.CloseAfter)
		b := testBus("")
		b.URL, b.Timeout = scheme+"://"+sim.Start(t), setting.Duration(time.Minute) // it always answers
		d := testDevice("plc", 1, map[string]setup.Point{"w": {Holding: at(10), Writable: &permit.Writable{}}})
		d.Every = setting.Duration(time.Hour)
		is := writeOnce(t, setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}},
			func() { eventually(t, "the device has hung up", func() bool { return sim.Open() == 0 }) })
		if n := touches(u, 10, 6); is.Outcome != bridge.Done || n != 1 {
			t.Errorf("%s: %+v, written %d times", scheme, is, n)
		}
	}
}
