package modbus

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestBadDevices lets one of two units on a bus misbehave for a while, in every
// way: what it says is never a wrong value, the other unit's readings stay good
// and come in time, and when it behaves again its readings are good again.
func TestBadDevices(t *testing.T) {
	late := modbustest.Late(130 * time.Millisecond) // timeout is 100ms
	common := map[string]modbustest.Behaviour{
		"silence":               modbustest.Silence,
		"late":                  late,
		"very late":             modbustest.Late(230 * time.Millisecond),
		"wrong unit":            modbustest.WrongUnit,
		"wrong function":        modbustest.WrongFunction,
		"byte count disagrees":  modbustest.WrongByteCount,
		"one register less":     modbustest.Fewer,
		"short":                 modbustest.Short(4),
		"torn":                  modbustest.Torn(20 * time.Millisecond),
		"torn for too long":     modbustest.Torn(150 * time.Millisecond),
		"byte by byte":          modbustest.ByteByByte,
		"bytes before":          modbustest.Noise("\x01\x03\x02", ""),
		"bytes after":           modbustest.Noise("", "\x00\x01\x02\x03"),
		"two answers":           modbustest.Twice,
		"at most one register":  modbustest.AtMost(1),
		"close after each":      modbustest.CloseAfter,
		"reset after each":      modbustest.ResetAfter,
		"restart in mid-answer": modbustest.Restart,
		"garbage for ever":      modbustest.Garbage,
	}
	for code := byte(1); code <= 11; code++ {
		common[fmt.Sprintf("exception %d", code)] = modbustest.Exception(code)
	}
	only := map[modbustest.Framing]map[string]modbustest.Behaviour{
		modbustest.TCP: {"wrong transaction": modbustest.WrongTransaction, "wrong length": modbustest.WrongLength},
		modbustest.RTU: {"crc error": modbustest.CRCError, "echo": modbustest.Echo},
	}
	for framing, name := range map[modbustest.Framing]string{modbustest.TCP: "tcp", modbustest.RTU: "rtu"} {
		for behaviour, b := range common {
			// What is asked after a very late answer waits in the device's queue.
			spoilt := 0
			if behaviour == "very late" {
				spoilt = 1
			}
			t.Run(name+"/"+behaviour, func(t *testing.T) { badDevice(t, framing, b, spoilt) })
		}
		for behaviour, b := range only[framing] {
			t.Run(name+"/"+behaviour, func(t *testing.T) { badDevice(t, framing, b, 0) })
		}
	}
}

func badDevice(t *testing.T, framing modbustest.Framing, behaviour modbustest.Behaviour, spoilt int) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Framing = framing
		for a := range 300 { // each register holds its address, plus 1,000 times its unit
			sim.Unit(1).Set(modbustest.Holding, a, uint16(1000+a))
			sim.Unit(2).Set(modbustest.Holding, a, uint16(2000+a))
		}
		b := testBus("")
		b.URL = map[modbustest.Framing]string{modbustest.TCP: "tcp://plc", modbustest.RTU: "rtu+tcp://plc:1"}[framing]
		points := map[string]Point{"a": {Holding: at(0)}, "b": {Holding: at(1)}, "c": {Holding: at(200)}}
		cfg := Config{Buses: map[string]Bus{"plc": b}, Devices: map[string]Device{"bad": testDevice("plc", 1, points), "good": testDevice("plc", 2, points)}}
		bad := cfg.Devices["bad"]
		bad.MaxGap = new(int)
		cfg.Devices["bad"] = bad
		good := cfg.Devices["good"]
		good.Every = setting.Duration(2 * time.Second)
		cfg.Devices["good"] = good
		r := newRigDial(t, cfg, nil, func(ctx context.Context, _ busSpec) (wire.Stream, error) { return sim.Dial(ctx) })
		defer r.stop()
		time.Sleep(4 * time.Second)
		r.of("bad")
		r.of("good")
		sim.Unit(1).Always(behaviour)
		time.Sleep(60 * time.Second)
		sim.Unit(1).Always()
		synctest.Wait()
		for _, batch := range r.of("bad") {
			for _, reading := range batch.Readings {
				want := map[string]uint64{"a": 1000, "b": 1001, "c": 1200}[reading.Point]
				if reading.Value.Good() && reading.Value.Bits() != want {
					t.Fatalf("bad %s = %v, want %d or a reason", reading.Point, reading.Value, want)
				}
			}
		}
		cycles := 0
		for _, batch := range r.of("good") {
			if got := values(batch); got == "a=2000 b=2001 c=2200" {
				cycles++
			} else if spoilt--; spoilt < 0 {
				t.Errorf("the other unit: %s", got)
			}
		}
		if cycles < 28 {
			t.Errorf("%d cycles of the other unit in 60s, want 30", cycles)
		}
		time.Sleep(maxProbePause + 10*time.Second)
		synctest.Wait()
		last := r.of("bad")
		want := "a=1000 b=1001 c=1200"
		if len(last) == 0 || values(last[len(last)-1]) != want && !givenUp(values(last[len(last)-1])) {
			t.Errorf("when it behaved again: %v", last)
		}
	})
}

// givenUp reports whether a unit is taken at its word that it refuses what it
// was asked for; that is so for a day.
func givenUp(values string) bool {
	return values == "a=bad: given_up b=bad: given_up c=bad: given_up"
}

// TestConnectionFaults are those of the whole bus.
func TestConnectionFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Input, 0, 5)
		cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")}, Devices: map[string]Device{
			"d": testDevice("plc", 1, map[string]Point{"a": {Input: at(0)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		last := func() string {
			synctest.Wait()
			b := r.of("d")
			if len(b) == 0 {
				return "nothing"
			}
			return values(b[len(b)-1])
		}
		time.Sleep(3 * time.Second)
		if got := last(); got != "a=5" {
			t.Fatal(got)
		}
		sim.Freeze() // a cable is cut: no word, but new connections work
		time.Sleep(30 * time.Second)
		if got := last(); got != "a=5" {
			t.Errorf("30s after the cable was cut: %s", got)
		}
		sim.Refuse()
		time.Sleep(30 * time.Second)
		if got := last(); got != "a=bad: refused" {
			t.Errorf("refused: %s", got)
		}
		sim.Accept()
		time.Sleep(maxConnectPause + 2*time.Second)
		if got := last(); got != "a=5" {
			t.Errorf("accepted again: %s", got)
		}
		sim.Unit(1).Always(modbustest.Silence) // accept and say nothing
		time.Sleep(30 * time.Second)
		if got := last(); got != "a=bad: timeout" {
			t.Errorf("silent: %s", got)
		}
	})
}

// TestOneConnectionOnly: a device that takes one connection keeps ours.
func TestOneConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.MaxConns = 1
		sim.Unit(1)
		sim.Unit(2)
		point := map[string]Point{"a": {Input: at(0)}}
		cfg := Config{Buses: map[string]Bus{"plc": testBus("plc")}, Devices: map[string]Device{
			"x": testDevice("plc", 1, point), "y": testDevice("plc", 2, point)}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		time.Sleep(10 * time.Second)
		for _, b := range r.stop() {
			if goodIn(b) != 1 {
				t.Errorf("%s: %s", b.Device, values(b))
			}
		}
		if n := sim.Accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}
