package modbus

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// misbehaviour is a way to misbehave, and what readings of a unit that does so
// all the time are: "good", or reasons. "" means none on such a line; ASCII is as
// RTU, but for abl.
type misbehaviour struct {
	act           modbustest.Behaviour
	tcp, rtu, udp string
	code          *byte // of an exception
}

// misbehaviours are all ways of a single unit. The timeout is 100 ms.
func misbehaviours() map[string]misbehaviour {
	all := map[string]misbehaviour{
		"silence": {modbustest.Silence, "timeout", "timeout", "timeout", nil},
		// by RTU it may be a repeated request's
		"late":                 {modbustest.Late(130 * time.Millisecond), "timeout", "good protocol timeout", "timeout", nil},
		"very late":            {modbustest.Late(230 * time.Millisecond), "timeout", "good protocol timeout", "timeout", nil},
		"wrong transaction":    {modbustest.WrongTransaction, "timeout", "", "timeout", nil},
		"wrong unit":           {modbustest.WrongUnit, "timeout", "protocol", "timeout", nil},
		"wrong function":       {modbustest.WrongFunction, "protocol", "protocol", "protocol", nil},
		"wrong length":         {modbustest.WrongLength, "protocol", "", "timeout", nil},
		"byte count disagrees": {modbustest.WrongByteCount, "protocol", "protocol", "protocol", nil},
		// of one nothing is less
		"one register less":     {modbustest.Fewer, "good protocol", "good protocol", "good protocol", nil},
		"short":                 {modbustest.Short(4), "timeout", "protocol", "timeout", nil},
		"torn":                  {modbustest.Torn(20 * time.Millisecond), "good", "good", "", nil},
		"torn for too long":     {modbustest.Torn(150 * time.Millisecond), "timeout", "protocol timeout", "", nil},
		"byte by byte":          {modbustest.ByteByByte, "good", "good", "", nil},
		"bytes before":          {modbustest.Noise("\x01\x03\x02", ""), "protocol", "good", "good", nil},
		"bytes after":           {modbustest.Noise("", "\x00\x01\x02\x03"), "good", "good", "good", nil},
		"crc error":             {modbustest.CRCError, "", "protocol", "", nil},
		"echo":                  {modbustest.Echo, "", "good", "", nil},
		"abl":                   {modbustest.ABL, "", "", "", nil},
		"stray transaction":     {modbustest.StrayBefore(1000, 0), "good", "", "good", nil},
		"stray of last request": {modbustest.StrayBefore(0xffff, 0), "good", "", "good", nil},
		"stray unit":            {modbustest.StrayBefore(0, 1), "good", "", "good", nil},
		"two answers":           {modbustest.Twice, "good", "good", "good", nil},
		"two answers apart":     {modbustest.TwiceApart(20 * time.Millisecond), "good", "good", "good", nil},
		"two answers far apart": {modbustest.TwiceApart(80 * time.Millisecond), "good timeout", "good protocol timeout",
			"good timeout", nil},
		"at most one register":  {modbustest.AtMost(1), "good", "good", "good", nil},
		"close after each":      {modbustest.CloseAfter, "good", "good", "", nil},
		"reset after each":      {modbustest.ResetAfter, "good", "good", "", nil},
		"restart in mid-answer": {modbustest.Restart, "disconnected", "disconnected", "", nil},
		"garbage for ever":      {modbustest.Garbage, "protocol", "protocol", "timeout", nil},
	}
	for _, code := range []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x7f, 0x80, 0x81, 0xff} {
		reason := fmt.Sprintf("exception_%d", code)
		all[fmt.Sprintf("exception %d", code)] = misbehaviour{act: modbustest.Exception(code), tcp: reason, rtu: reason,
			udp: reason, code: &code}
	}
	return all
}

// carriers are the framings and a bus of each.
var carriers = map[modbustest.Framing]string{modbustest.TCP: "tcp://plc", modbustest.RTU: "rtu+tcp://plc:1",
	modbustest.ASCII: "ascii+tcp://plc:1", modbustest.UDP: "udp://plc"}

// eachMisbehaviour runs test for each, by each carrier.
func eachMisbehaviour(t *testing.T, test func(t *testing.T, framing modbustest.Framing, m misbehaviour, want string)) {
	for name, m := range misbehaviours() {
		for framing, url := range carriers {
			want := map[modbustest.Framing]string{modbustest.TCP: m.tcp, modbustest.RTU: m.rtu, modbustest.ASCII: m.rtu,
				modbustest.UDP: m.udp}[framing]
			if name == "abl" && framing == modbustest.ASCII {
				want = "good"
			}
			if m.code != nil && !thorough() && (int(*m.code)+int(framing))%len(carriers) != 0 {
				continue // each of many codes by one carrier
			}
			if scheme, _, _ := strings.Cut(url, ":"); want != "" {
				t.Run(scheme+"/"+name, func(t *testing.T) { test(t, framing, m, want) })
			}
		}
	}
}

// TestBadDevices lets one of two units on a bus misbehave for a while, in every
// way: what it says is never a wrong value, and bad for the right reason, the
// other unit's readings stay good and come in time, and when it behaves again its
// readings are good again.
func TestBadDevices(t *testing.T) {
	eachMisbehaviour(t, func(t *testing.T, framing modbustest.Framing, m misbehaviour, want string) {
		spoilt := 0
		if strings.HasSuffix(t.Name(), "/very_late") {
			spoilt = 1 // what is asked after it waits in the device's queue
		}
		badDevice(t, framing, m.act, want, spoilt)
	})
}

// TestBadAnswerOnce: after one such answer the next request of the unit is
// right, or bad, but never another's value; and soon all are good.
func TestBadAnswerOnce(t *testing.T) {
	eachMisbehaviour(t, func(t *testing.T, framing modbustest.Framing, m misbehaviour, _ string) {
		synctest.Test(t, func(t *testing.T) {
			r, sim := badRig(t, framing)
			defer r.stop()
			time.Sleep(4*time.Second + 10*time.Millisecond)
			sim.Unit(1).Next(m.act)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			for _, batch := range r.of("bad") {
				onlyOwnValues(t, batch)
			}
			for _, batch := range r.of("good") {
				if got := values(batch); got != goodValues {
					t.Errorf("the other unit: %s", got)
				}
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			batches := r.of("bad")
			for _, batch := range batches {
				if got := values(batch); got != badValues {
					t.Errorf("3s later: %s", got)
				}
			}
			if len(batches) < 9 {
				t.Errorf("%d cycles in 10s", len(batches))
			}
		})
	})
}

// What the two units of badRig hold.
const (
	badValues  = "a=1000 b=1001 c=1200"
	goodValues = "a=2000 b=2001 c=2200"
)

// onlyOwnValues checks that good readings of the bad unit have its values.
func onlyOwnValues(t *testing.T, batch bridge.Batch) {
	t.Helper()
	for _, reading := range batch.Readings {
		want := map[string]uint64{"a": 1000, "b": 1001, "c": 1200}[reading.Point]
		if reading.Value.Good() && reading.Value.Bits() != want {
			t.Fatalf("bad %s = %v, want %d or a reason", reading.Point, reading.Value, want)
		}
	}
}

// badRig polls two units on a bus: each register holds its address, plus 1,000
// times its unit. The first is called bad and read in two requests each second.
func badRig(t *testing.T, framing modbustest.Framing) (*rig, *modbustest.Simulator) {
	t.Helper()
	sim := modbustest.New()
	sim.Framing = framing
	for a := range 300 {
		sim.Unit(1).Set(modbustest.Holding, a, uint16(1000+a))
		sim.Unit(2).Set(modbustest.Holding, a, uint16(2000+a))
	}
	b := testBus("")
	b.URL = carriers[framing]
	points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(1)}, "c": {Holding: at(200)}}
	bad, good := testDevice("plc", 1, points), testDevice("plc", 2, points)
	bad.MaxGap = new(int)
	good.Every = setting.Duration(2 * time.Second)
	cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"bad": bad, "good": good}}
	dial := func(ctx context.Context, _ spec.Bus) (wire.Stream, error) { return sim.Dial(ctx) }
	return newRigDial(t, cfg, nil, dial), sim
}

func badDevice(t *testing.T, framing modbustest.Framing, behaviour modbustest.Behaviour, want string, spoilt int) {
	synctest.Test(t, func(t *testing.T) {
		r, sim := badRig(t, framing)
		defer r.stop()
		time.Sleep(4 * time.Second)
		r.of("bad")
		r.of("good")
		sim.Unit(1).Always(behaviour)
		time.Sleep(60 * time.Second)
		sim.Unit(1).Always()
		synctest.Wait()
		for _, batch := range r.of("bad") {
			onlyOwnValues(t, batch)
			for _, reading := range batch.Readings {
				outcome := "good"
				if !reading.Value.Good() {
					outcome = reading.Value.Reason().String()
				}
				if !slices.Contains(strings.Fields(want), outcome) {
					t.Fatalf("bad %s is %v, want %s", reading.Point, reading.Value, want)
				}
			}
		}
		if !strings.HasSuffix(t.Name(), "at_most_one_register") && strings.Contains(r.logged(), "learnt") {
			t.Errorf("it allows all, and the log is:\n%s", r.logged())
		}
		cycles := 0
		for _, batch := range r.of("good") {
			if got := values(batch); got == goodValues {
				cycles++
			} else if spoilt--; spoilt < 0 {
				t.Errorf("the other unit: %s", got)
			}
		}
		if cycles < 28 {
			t.Errorf("%d cycles of the other unit in 60s, want 30", cycles)
		}
		soon := 5 * time.Second
		if strings.Contains(want, "timeout") || want == "exception_10" || want == "exception_11" {
			soon = time.Minute + 10*time.Second // it is silent: the pause between probes
		}
		time.Sleep(soon)
		synctest.Wait()
		last := r.of("bad")
		if len(last) == 0 || values(last[len(last)-1]) != badValues {
			t.Errorf("when it behaved again: %v", last)
		}
	})
}

// TestBadMixture: a unit that misbehaves in another way each few requests gives no
// wrong value, spoils no other unit's and is read again when it behaves.
func TestBadMixture(t *testing.T) {
	all := misbehaviours()
	names := slices.Sorted(maps.Keys(all))
	seeds := uint64(2)
	if thorough() {
		seeds = 6
	}
	for framing, url := range carriers {
		for seed := range seeds {
			t.Run(fmt.Sprint(url, "/", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, sim := badRig(t, framing)
					defer r.stop()
					time.Sleep(4 * time.Second)
					var throwing sync.Mutex
					dice := rand.New(rand.NewPCG(seed, 0))
					sim.Unit(1).Always(func(request modbustest.Request, a *modbustest.Answer) {
						throwing.Lock() // an old connection may still be served
						name, now := names[dice.IntN(len(names))], dice.IntN(3) == 0
						throwing.Unlock()
						if now && name != "garbage for ever" {
							all[name].act(request, a)
						}
					})
					time.Sleep(5 * time.Minute)
					sim.Unit(1).Always()
					time.Sleep(70 * time.Second)
					r.of("good")
					before := r.of("bad")
					time.Sleep(10 * time.Second)
					synctest.Wait()
					for _, batch := range append(before, r.of("bad")...) {
						onlyOwnValues(t, batch)
					}
					time.Sleep(10 * time.Second)
					synctest.Wait()
					for name, want := range map[string]string{"bad": badValues, "good": goodValues} {
						batches := r.of(name)
						if len(batches) < 4 {
							t.Errorf("%s: %d cycles in 10s", name, len(batches))
						}
						for _, batch := range batches {
							if got := values(batch); got != want {
								t.Errorf("%s, long after: %s", name, got)
							}
						}
					}
				})
			})
		}
	}
}

// TestConnectionFaults are those of the whole bus.
func TestConnectionFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Input, 0, 5)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"d": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
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
		time.Sleep((10 * time.Second) + 2*time.Second)
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
		point := map[string]setup.Point{"a": {Input: at(0)}}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
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

// TestConnectionsTaken: a device whose connections others have is tried again,
// and read when one is free.
func TestConnectionsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.MaxConns = 2
		sim.Unit(1).Set(modbustest.Input, 0, 5)
		var others []net.Conn
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 2 {
			c, err := sim.Dial(ctx)
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, c)
		}
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"d": testDevice("plc", 1, map[string]setup.Point{"a": {Input: at(0)}})}}
		r := newRig(t, cfg, map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		for _, b := range r.of("d") {
			if got := values(b); got != "a=bad: disconnected" {
				t.Errorf("while others have its connections: %s", got)
			}
		}
		tried := sim.Accepted() - 2
		if tried < 2 || tried > 30 {
			t.Errorf("%d attempts in 30s", tried)
		}
		others[0].Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if b := r.of("d"); len(b) == 0 || values(b[len(b)-1]) != "a=5" {
			t.Errorf("when one is free: %v", b)
		}
		others[1].Close()
	})
}
