package wire_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

const (
	timeout = 60 * time.Millisecond // on fake time
	patient = 20 * time.Second      // over sockets, where it is not to come to a timeout
)

func dialer(address string) func(context.Context) (wire.Stream, error) {
	return func(ctx context.Context) (wire.Stream, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// numbered returns a simulator whose holding registers of unit 1 hold their own
// address.
func numbered(t *testing.T, framing ...modbustest.Framing) (*modbustest.Simulator, *modbustest.Unit, string) {
	sim := modbustest.New()
	for _, f := range framing {
		sim.Framing = f
	}
	unit := sim.Unit(1)
	unit.Set(modbustest.Holding, 0, addresses()...)
	return sim, unit, sim.Start(t)
}

// bubble runs a test on fake time against a simulator as of numbered, without
// sockets: no busy machine makes an answer late.
func bubble(t *testing.T, name string, framing modbustest.Framing,
	test func(*testing.T, *modbustest.Simulator, *modbustest.Unit, wire.Options)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			unit := sim.Unit(1)
			unit.Set(modbustest.Holding, 0, addresses()...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test(t, sim, unit, wire.Options{ConnectTimeout: time.Second,
				Dial: func(context.Context) (wire.Stream, error) { return sim.Dial(ctx) }})
		})
	})
}

// addresses are the numbers of all registers.
func addresses() []uint16 {
	all := make([]uint16, 1<<16)
	for a := range all {
		all[a] = uint16(a)
	}
	return all
}

// outcome is what a read of two registers gave, for people.
func outcome(data []byte, err error, address uint16) string {
	var (
		protocol   *wire.ProtocolError
		connect    *wire.ConnectError
		disconnect *wire.DisconnectError
	)
	code, exception := wire.ExceptionCode(err)
	switch {
	case err == nil:
		if len(data) != 4 || binary.BigEndian.Uint16(data) != address || binary.BigEndian.Uint16(data[2:]) != address+1 {
			return "WRONG VALUE"
		}
		return "right"
	case exception:
		return "exception " + string('0'+rune(code))
	case errors.Is(err, wire.ErrTimeout):
		return "timeout"
	case errors.As(err, &protocol):
		return "protocol"
	case errors.As(err, &connect):
		return "connect"
	case errors.As(err, &disconnect):
		return "disconnected"
	}
	return err.Error()
}

// TestFaultsTCP reads five times; the unit misbehaves at the second. No read
// may ever give the value of another.
func TestFaultsTCP(t *testing.T) {
	tests := []struct {
		name   string
		fault  modbustest.Behaviour
		second string
		third  string
		conns  int
	}{
		{"honest", nil, "right", "right", 1},
		{"silence", modbustest.Silence, "timeout", "right", 1},
		{"late, after the next request", modbustest.Late(timeout + 20*time.Millisecond), "timeout", "right", 1},
		{"late, within time", modbustest.Late(timeout / 4), "right", "right", 1},
		{"wrong transaction", modbustest.WrongTransaction, "timeout", "right", 1},
		{"wrong unit", modbustest.WrongUnit, "timeout", "right", 1},
		{"stray transaction", modbustest.StrayBefore(1000, 0), "right", "right", 1},
		{"stray unit", modbustest.StrayBefore(0, 1), "right", "right", 1},
		{"wrong function", modbustest.WrongFunction, "protocol", "right", 2},
		{"wrong length", modbustest.WrongLength, "protocol", "right", 2},
		{"byte count disagrees", modbustest.WrongByteCount, "protocol", "right", 2},
		{"one register less", modbustest.Fewer, "protocol", "right", 2},
		{"short", modbustest.Short(5), "timeout", "right", 2},
		{"torn", modbustest.Torn(10 * time.Millisecond), "right", "right", 1},
		{"byte by byte", modbustest.ByteByByte, "right", "right", 1},
		{"bytes before", modbustest.Noise("xyz", ""), "right", "right", 2},
		{"bytes after", modbustest.Noise("", "xyz"), "right", "right", 2},
		{"two answers", modbustest.Twice, "right", "right", 1},
		{"exception 2", modbustest.Exception(2), "exception 2", "right", 1},
		{"exception 6", modbustest.Exception(6), "exception 6", "right", 1},
		{"close after", modbustest.CloseAfter, "right", "right", 2},
		{"reset after", modbustest.ResetAfter, "right", "right", 2},
		{"restart in mid-answer", modbustest.Restart, "right", "right", 2},
		{"garbage", modbustest.Garbage, "right", "right", 2},
	}
	run := func(name string, link func(wire.Options) wire.Carrier) {
		for _, test := range tests {
			bubble(t, name+"/"+test.name, modbustest.TCP,
				func(t *testing.T, sim *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
					link := link(o)
					defer link.Close()
					client := wire.NewClient(link)
					client.To(t.Context(), 1, timeout)
					want := []string{"right", test.second, test.third, "right", "right"}
					unit.Next(nil, test.fault)
					for i, want := range want {
						at := uint16(10 * (i + 1))
						data, err := client.Read(wire.Holding, at, 2)
						if got := outcome(data, err, at); got != want {
							t.Errorf("read %d: %s (%v), want %s", i+1, got, err, want)
						}
					}
					if got := sim.Accepted(); got != test.conns {
						t.Errorf("%d connections, want %d", got, test.conns)
					}
				})
		}
	}
	run("link", func(o wire.Options) wire.Carrier { return wire.NewTCP(o) })
	run("shared", func(o wire.Options) wire.Carrier { return wire.NewShared(o) })
}

// TestFaultsRTU is the same over a converter: frames have no transaction id.
func TestFaultsRTU(t *testing.T) {
	tests := []struct {
		name   string
		fault  modbustest.Behaviour
		second string
	}{
		{"honest", nil, "right"},
		{"silence", modbustest.Silence, "timeout"},
		{"late", modbustest.Late(timeout + 20*time.Millisecond), "timeout"},
		{"wrong unit", modbustest.WrongUnit, "protocol"},
		{"wrong function", modbustest.WrongFunction, "protocol"},
		{"byte count disagrees", modbustest.WrongByteCount, "protocol"},
		{"one register less", modbustest.Fewer, "protocol"},
		{"short", modbustest.Short(5), "protocol"},
		{"torn", modbustest.Torn(40 * time.Millisecond), "right"},
		{"byte by byte", modbustest.ByteByByte, "right"},
		{"bytes before", modbustest.Noise("xyz\x01\x03", ""), "right"},
		{"bytes after", modbustest.Noise("", "xyz"), "right"},
		{"crc error", modbustest.CRCError, "protocol"},
		{"echo", modbustest.Echo, "right"},
		{"two answers", modbustest.Twice, "right"},
		{"exception 2", modbustest.Exception(2), "exception 2"},
		{"exception 11", modbustest.Exception(11), "exception ;"},
		{"close after", modbustest.CloseAfter, "right"},
		{"restart in mid-answer", modbustest.Restart, "right"},
	}
	for _, test := range tests {
		bubble(t, test.name, modbustest.RTU,
			func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
				link := wire.NewRTU(o)
				defer link.Close()
				client := wire.NewClient(link)
				client.To(t.Context(), 1, timeout)
				unit.Next(nil, test.fault)
				for i, want := range []string{"right", test.second, "right", "right", "right"} {
					at := uint16(10 * (i + 1))
					data, err := client.Read(wire.Holding, at, 2)
					if got := outcome(data, err, at); got != want {
						t.Errorf("read %d: %s (%v), want %s", i+1, got, err, want)
					}
				}
			})
	}
}

// TestEchoOfWrites: behind an adapter that echoes, the echo of a write is not
// its answer.
func TestEchoOfWrites(t *testing.T) {
	_, unit, address := numbered(t, modbustest.RTU)
	link := wire.NewRTU(wire.Options{Dial: dialer(address), ConnectTimeout: patient})
	defer link.Close()
	client := wire.NewClient(link)
	client.To(t.Context(), 1, patient)
	unit.Always(modbustest.Echo)
	if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
		t.Fatal(err)
	}
	if _, err := client.WriteSingleRegister(9, 5); err != nil {
		t.Errorf("write: %v", err)
	}
	unit.Always(modbustest.Echo, modbustest.Exception(4))
	if _, err := client.WriteSingleRegister(9, 6); outcome(nil, err, 0) != "exception 4" {
		t.Errorf("a refused write: %v, want exception 4", err)
	}
}

func newLink(t *testing.T, address string) (*wire.Link, *wire.Client) {
	link := wire.NewTCP(wire.Options{Dial: dialer(address), ConnectTimeout: patient})
	t.Cleanup(link.Close)
	client := wire.NewClient(link)
	client.To(t.Context(), 1, patient)
	return link, client
}

func TestRefusedThenThere(t *testing.T) {
	sim, _, address := numbered(t)
	_, client := newLink(t, address)
	sim.Refuse()
	data, err := client.Read(wire.Holding, 7, 2)
	if got := outcome(data, err, 7); got != "connect" {
		t.Fatalf("%s (%v), want connect", got, err)
	}
	if err := sim.Accept(); err != nil {
		t.Fatal(err)
	}
	data, err = client.Read(wire.Holding, 7, 2)
	if got := outcome(data, err, 7); got != "right" {
		t.Errorf("%s (%v), want right", got, err)
	}
}

// TestCutCable: a connection that is dead without a word is left after a few
// timeouts.
func TestCutCable(t *testing.T) {
	bubble(t, "", modbustest.TCP, func(t *testing.T, sim *modbustest.Simulator, _ *modbustest.Unit, o wire.Options) {
		link := wire.NewTCP(o)
		defer link.Close()
		client := wire.NewClient(link)
		client.To(t.Context(), 1, timeout)
		if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
			t.Fatal(err)
		}
		sim.Freeze()
		for i := range 3 {
			if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "timeout" {
				t.Fatalf("read %d: %v, want a timeout", i, err)
			}
		}
		if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
			t.Errorf("after the timeouts: %v, want a new connection", err)
		}
	})
}

// TestLateTwice: a request that was sent again may have two answers, and none
// of them is taken for that of another request.
func TestLateTwice(t *testing.T) {
	bubble(t, "", modbustest.RTU, func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
		link := wire.NewRTU(o)
		defer link.Close()
		client := wire.NewClient(link)
		client.To(t.Context(), 1, timeout)
		unit.Next(modbustest.Late(timeout+20*time.Millisecond), modbustest.Late(timeout-10*time.Millisecond))
		for i, want := range []string{"timeout", "right", "right", "right"} {
			at := uint16(10)
			if i > 1 {
				at = uint16(10 * i)
			}
			data, err := client.Read(wire.Holding, at, 2)
			if got := outcome(data, err, at); got != want {
				t.Errorf("read %d: %s (%v), want %s", i+1, got, err, want)
			}
		}
	})
}

func TestGarbageForEver(t *testing.T) {
	_, unit, address := numbered(t)
	_, client := newLink(t, address)
	unit.Always(modbustest.Garbage)
	for range 3 {
		if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "protocol" {
			t.Errorf("%v, want a protocol error", err)
		}
	}
	unit.Always()
	if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
		t.Error(err)
	}
}

func TestContextEndsRequest(t *testing.T) {
	_, unit, address := numbered(t)
	_, client := newLink(t, address)
	unit.Always(modbustest.Silence)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	client.To(ctx, 1, time.Hour)
	if _, err := client.Read(wire.Holding, 7, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context was canceled", err)
	}
	unit.Always()
	client.To(t.Context(), 1, patient)
	if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
		t.Errorf("with another context: %v", err)
	}
}

func TestPauseAndConnectDelay(t *testing.T) {
	_, _, address := numbered(t)
	link := wire.NewTCP(wire.Options{Dial: dialer(address), ConnectTimeout: patient,
		ConnectDelay: 30 * time.Millisecond})
	defer link.Close()
	client := wire.NewClient(link)
	client.To(t.Context(), 1, patient)
	client.Pause(20 * time.Millisecond)
	start := time.Now()
	for range 3 {
		if _, err := client.Read(wire.Holding, 0, 1); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took < 70*time.Millisecond {
		t.Errorf("three requests took %v, want the connect delay and two pauses, 70ms", took)
	}
}

func TestWrites(t *testing.T) {
	sim, unit, address := numbered(t)
	_, client := newLink(t, address)
	steps := []struct {
		name string
		do   func() ([]byte, error)
	}{
		{"coil", func() ([]byte, error) { return client.WriteSingleCoil(3, 0xff00) }},
		{"register", func() ([]byte, error) { return client.WriteSingleRegister(9, 0x1234) }},
		{"coils", func() ([]byte, error) { return client.WriteMultipleCoils(16, 3, []byte{5}) }},
		{"registers", func() ([]byte, error) { return client.WriteMultipleRegisters(10, 2, []byte{1, 2, 3, 4}) }},
		{"mask", func() ([]byte, error) { return client.MaskWriteRegister(9, 0xfff0, 0x0005) }},
	}
	for _, s := range steps {
		if _, err := s.do(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	unit.Always(modbustest.Late(0), func(_ modbustest.Request, a *modbustest.Answer) { a.PDU[2] ^= 1 })
	accepted := sim.Accepted()
	for range 3 {
		var echo *wire.EchoError
		if _, err := client.WriteSingleRegister(9, 1); !errors.As(err, &echo) || echo.Got[2] != 8 || echo.Want[2] != 9 {
			t.Errorf("an echo of another address: %v", err)
		}
	}
	if n := sim.Accepted(); n != accepted {
		t.Errorf("%d new connections for it", n-accepted)
	}
	if got := unit.Get(modbustest.Holding, 9, 3); got[0] != 1 || got[1] != 0x102 || got[2] != 0x304 {
		t.Errorf("holding 9+3 = %x", got)
	}
	if got := unit.Get(modbustest.Coil, 16, 3); got[0] != 1 || got[1] != 0 || got[2] != 1 {
		t.Errorf("coils 16+3 = %v", got)
	}
}

func TestBits(t *testing.T) {
	_, unit, address := numbered(t)
	_, client := newLink(t, address)
	unit.SetBit(modbustest.Discrete, 100, true)
	unit.SetBit(modbustest.Discrete, 109, true)
	data, err := client.Read(wire.Discrete, 100, 10)
	if err != nil || len(data) != 2 || data[0] != 1 || data[1] != 2 {
		t.Errorf("% x, %v", data, err)
	}
}

// TestReadAllocations holds the transport to what goburrow itself needs.
func TestReadAllocations(t *testing.T) {
	_, _, address := numbered(t)
	_, client := newLink(t, address)
	client.To(t.Context(), 1, time.Second)
	n := testing.AllocsPerRun(200, func() {
		if _, err := client.Read(wire.Holding, 0, 125); err != nil {
			t.Fatal(err)
		}
	})
	if n > 10 {
		t.Errorf("%v allocations a request, want at most 10", n)
	}
}

func BenchmarkRead125(b *testing.B) {
	sim := modbustest.New()
	sim.Unit(1)
	address := sim.Start(b)
	link := wire.NewTCP(wire.Options{Dial: dialer(address), ConnectTimeout: patient})
	defer link.Close()
	client := wire.NewClient(link)
	client.To(b.Context(), 1, time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Read(wire.Holding, 0, 125); err != nil {
			b.Fatal(err)
		}
	}
}

// deadlined is a stream that tells what its deadline is.
type deadlined struct {
	wire.Stream
	at *time.Time
}

func (d deadlined) SetDeadline(t time.Time) error {
	*d.at = t
	return d.Stream.SetDeadline(t)
}

// TestRest: a link that rests has no deadline that would wake the gateway for nothing,
// and the next request has its own again.
func TestRest(t *testing.T) {
	bubble(t, "tcp", modbustest.TCP, func(t *testing.T, sim *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
		var at time.Time
		dial := o.Dial
		o.Dial = func(ctx context.Context) (wire.Stream, error) {
			s, err := dial(ctx)
			return deadlined{s, &at}, err
		}
		link := wire.NewTCP(o)
		defer link.Close()
		link.Rest() // without a connection there is nothing to do
		c := wire.NewClient(link)
		for range 2 {
			begun := time.Now()
			c.To(t.Context(), 1, timeout)
			if _, err := c.ReadHoldingRegisters(0, 1); err != nil {
				t.Fatal(err)
			}
			if !at.Equal(begun.Add(timeout)) {
				t.Fatalf("the deadline of a request begun at %v is %v", begun, at)
			}
			link.Rest()
			if !at.IsZero() {
				t.Errorf("at rest the deadline is %v", at)
			}
			time.Sleep(10 * timeout)
		}
	})
}
