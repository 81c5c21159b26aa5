package commission

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// testMaster returns a master of a simulator, over no network and in a bubble: what
// is on time there is so on a busy machine.
func testMaster(t *testing.T, sim *modbustest.Simulator, timeout time.Duration, o Options) *Master {
	t.Helper()
	place := wire.Place{Address: wire.Address{Scheme: "tcp", Host: "plc:502"}, ConnectTimeout: timeout, Pipeline: 1}
	m := &Master{timeout: timeout}
	m.link = place.Link(func(context.Context) (wire.Stream, error) {
		stream, err := sim.Dial(t.Context())
		if err != nil || o.Trace == nil {
			return stream, err
		}
		return wire.Trace(stream, place.Address, o.Trace), nil
	})
	m.client = wire.NewClient(m.link)
	t.Cleanup(m.Close)
	return m
}

// register returns a number that may be set, in one of the orders.
func register(address int, typ, order string) *point.Field {
	is := point.Types[typ]
	return &point.Field{Table: wire.Holding, Address: address, Words: is.Words(0), TypeName: typ, Kind: is.Kind,
		Bits: uint8(is.Bits), Load: point.Loader(is.Bits, point.Orders[order]),
		Special: &point.Special{Writable: &point.Writable{}}}
}

func TestMasterReadsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(3)
		for i := range 100 {
			u.Set(modbustest.Holding, 2*i, modbustest.Float32(float32(i)/2)...)
		}
		u.SetBit(modbustest.Coil, 2001, true)
		var trace []string
		m := testMaster(t, sim, 5*time.Second, Options{Trace: func(line string) { trace = append(trace, line) }})
		got, err := m.Read(t.Context(), 3, register(0, "float32", "ABCD"), 100)
		if err != nil || len(got) != 100 || got[99].Value != bridge.Float32(49.5) || got[99].Address != 198 {
			t.Errorf("%d values, the last %v, %v", len(got), got[len(got)-1], err)
		}
		if n := u.Count(); n != 2 {
			t.Errorf("%d requests for 200 registers, want 2", n)
		}
		coils := &point.Field{Kind: point.KindBool, Load: point.LoadBit, Bits: 1, Words: 1, Special: point.Plain}
		got, err = m.Read(t.Context(), 3, coils, 2002)
		if err != nil || len(got) != 2002 || !got[2001].Value.Truth() || got[2000].Value.Truth() {
			t.Errorf("%d coils, %v", len(got), err)
		}
		if is, _ := m.Write(t.Context(), 3, register(50, "int32", "CDAB"), bridge.Int(-2),
			"auto"); is != (bridge.Written{Outcome: bridge.Done}) {
			t.Errorf("%+v", is)
		}
		if got := u.Get(modbustest.Holding, 50, 2); got[0] != 0xfffe || got[1] != 0xffff {
			t.Errorf("%x", got)
		}
		if len(trace) < 8 || !strings.HasSuffix(trace[0], "   unit 3, read holding registers 0, 124") ||
			!strings.HasPrefix(trace[1], "<- 00 01 00 00 00 fb 03 03 f8") {
			t.Errorf("trace:\n%s", strings.Join(trace, "\n"))
		}
		if is, _ := m.Write(t.Context(), 3, coils, bridge.Bool(true), "auto"); is.Outcome != bridge.Refused {
			t.Error("it set a point that is not writable")
		}
		if _, err := m.Read(t.Context(), 3, register(65535, "float32", "ABCD"), 1); err == nil {
			t.Error("it read beyond the table")
		}
	})
}

func TestScanUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(2).Identify("Acme", "VALVE-1", "2.0")
		sim.Unit(5).Only(modbustest.Holding, 100, 10)
		sim.Unit(7).Always(modbustest.Exception(11))
		m := testMaster(t, sim, 200*time.Millisecond, Options{})
		var found []string
		asked := 0
		if err := m.ScanUnits(t.Context(), 1, 8, func(int) { asked++ },
			func(f Found) { found = append(found, f.String()) }); err != nil {
			t.Fatal(err)
		}
		want := "unit 2: it has holding 0 (Acme, VALVE-1, 2.0)\nunit 5: it answers with exception 2"
		if got := strings.Join(found, "\n"); got != want || asked != 8 {
			t.Errorf("asked %d, found\n%s\nwant\n%s", asked, got, want)
		}
	})
}

func TestScanAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Only(modbustest.Holding, 0, 3)
		u.Only(modbustest.Holding, 120, 20)
		u.Only(modbustest.Holding, 500, 1)
		m := testMaster(t, sim, 5*time.Second, Options{})
		var found []string
		err := m.ScanAddresses(t.Context(), 1, "holding", 0, 999, func(int) {}, func(r Run) {
			found = append(found, fmt.Sprintf("%d-%d", r.First, r.End-1))
		})
		if got := strings.Join(found, " "); err != nil || got != "0-2 120-139 500-500" {
			t.Errorf("%s, %v", got, err)
		}
		if n := u.Count(); n > 1024 {
			t.Errorf("%d requests for 1,000 addresses, 24 of them there", n)
		}
		if err := m.ScanAddresses(t.Context(), 1, "holdign", 0, 9, nil, nil); err == nil ||
			!strings.Contains(err.Error(), `did you mean "holding"?`) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := m.ScanAddresses(ctx, 1, "holding", 0, 9999, func(int) { cancel() }, nil); err == nil {
			t.Error("it went on when it was stopped")
		}
	})
}

// TestScanAddressesGoesOn: silence, registers of other sizes and an exception 1 in the
// middle end no scan; a unit that gives no answer, or lacks the table, does, and what
// was found before is told.
func TestScanAddressesGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 120 * time.Millisecond
		all := func(r modbustest.Request, from, to int) bool { return r.Address < to && from < r.Address+r.Count }
		scan := func(act modbustest.Behaviour) (string, error) {
			sim := modbustest.New()
			sim.Unit(1).Always(act)
			m := testMaster(t, sim, patience, Options{})
			var found []string
			err := m.ScanAddresses(t.Context(), 1, "holding", 0, 199, func(int) {}, func(r Run) {
				found = append(found, fmt.Sprintf("%d-%d %d", r.First, r.End-1, r.Bytes))
			})
			return strings.Join(found, ", "), err
		}
		got, err := scan(func(r modbustest.Request, a *modbustest.Answer) {
			switch {
			case all(r, 10, 12):
				modbustest.Silence(r, a)
			case all(r, 30, 31):
				modbustest.Exception(1)(r, a)
			case all(r, 50, 51):
				a.PDU = append(a.PDU, 0, 0)
				a.PDU[1] += 2
			}
		})
		if want := "0-9 0, 12-29 0, 31-49 0, 50-50 4, 51-199 0"; got != want || err != nil {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
		got, err = scan(func(r modbustest.Request, a *modbustest.Answer) {
			if all(r, 20, 200) {
				modbustest.Silence(r, a)
			}
		})
		if want := "0-19 0"; got != want || err == nil || !strings.Contains(err.Error(), "holding 83+1: no answer") {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
		if got, err = scan(modbustest.Silence); got != "" || err == nil || !strings.Contains(err.Error(), "holding 2+1") {
			t.Errorf("silent: %s, %v", got, err)
		}
		if got, err = scan(modbustest.Exception(1)); got != "" || err == nil || !strings.Contains(err.Error(), "no table") {
			t.Errorf("without the function: %s, %v", got, err)
		}
	})
}

// TestLook: what answers, but not by the protocol, is noise.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(3).Always(modbustest.WrongFunction)
		sim.Unit(5).Always(modbustest.Exception(2))
		m := testMaster(t, sim, 200*time.Millisecond, Options{})
		for unit, want := range map[int]Answer{
			3: {Presence: Noise}, 4: {Presence: Absent}, 5: {Presence: Excepting, Exception: 2},
		} {
			got, err := m.look(t.Context(), unit)
			if got.Presence != want.Presence || got.Exception != want.Exception || err != nil {
				t.Errorf("unit %d: %v, %v, want %v", unit, got, err, want.Presence)
			}
		}
	})
}
