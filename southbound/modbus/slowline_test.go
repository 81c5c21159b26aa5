package modbus

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// slowLine is a serial line of a real speed: a write returns at once and goes
// out character by character, and so does the answer come in.
type slowLine struct {
	net.Conn
	char time.Duration

	mu   sync.Mutex
	free time.Time // when the line is free again
}

// occupy takes the line for n characters and returns when they are through.
func (l *slowLine) occupy(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * l.char)
	return l.free.Sub(now)
}

func (l *slowLine) Write(b []byte) (int, error) {
	frame := append([]byte(nil), b...)
	time.AfterFunc(l.occupy(len(b)), func() { l.Conn.Write(frame) })
	return len(b), nil
}

func (l *slowLine) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		time.Sleep(l.occupy(n)) // the simulator sends a frame at once
	}
	return n, err
}

// overSlowLine runs cfg, of which the only bus is a serial line, against sim.
func overSlowLine(t *testing.T, cfg setup.Config, sim *modbustest.Simulator) *rig {
	t.Helper()
	return newRigDial(t, cfg, nil, func(ctx context.Context, spec spec.Bus) (wire.Stream, error) {
		conn, err := sim.Dial(ctx)
		if err != nil {
			return nil, err
		}
		return &slowLine{Conn: conn, char: spec.Serial.Char()}, nil
	})
}

// serialLine returns a configuration with one line of n units with points each.
func serialLine(baud, n int, every time.Duration, points map[string]setup.Point) setup.Config {
	b := testBus("")
	b.URL, b.Baud, b.Parity = "rtu:///dev/ttyUSB0", baud, "none"
	cfg := setup.Config{Buses: map[string]setup.Bus{"hall-a": b}, Devices: make(map[string]setup.Device)}
	for i := range n {
		d := testDevice("hall-a", i+1, points)
		d.Every = setting.Duration(every)
		cfg.Devices["unit-"+string(rune('a'+i/10))+string(rune('0'+i%10))] = d
	}
	return cfg
}

// TestLineUtilisation: at full load the line does within a tenth of what the
// frames and the silences of the specification allow.
func TestLineUtilisation(t *testing.T) {
	const during = 20 * time.Second
	for _, baud := range []int{9600, 115200} {
		for _, words := range []int{2, 60, 125} {
			synctest.Test(t, func(t *testing.T) {
				points := map[string]setup.Point{"a": {Holding: at(0), Type: "string", Length: 2 * words}}
				cfg := serialLine(baud, 10, setup.MinEvery, points)
				spec := setup.Resolve(cfg).Buses["rtu:///dev/ttyUSB0"]
				sim := modbustest.New()
				sim.Framing = modbustest.RTU
				sim.Latency = spec.Serial.Silence() // a unit keeps it before it answers
				for i := range 10 {
					sim.Unit(byte(i + 1))
				}
				r := overSlowLine(t, cfg, sim)
				time.Sleep(during)
				synctest.Wait()
				got := 0
				for i := range 10 {
					got += sim.Unit(byte(i + 1)).Count()
				}
				r.stop()
				frames := time.Duration(8+5+2*words) * spec.Serial.Char()
				possible := int(during / (frames + 2*spec.Serial.Silence()))
				t.Logf("%d baud, %d words: %d requests in %v, %d are possible", baud, words, got, during, possible)
				if got < possible*9/10 || got > possible+2 {
					t.Errorf("%d baud, %d words: %d requests in %v, %d are possible", baud, words, got, during, possible)
				}
			})
		}
	}
}

// TestDeadUnitsOnALine: thirty units at a rate that the plan calls feasible;
// three of them die. From then on the others lose no cycle.
func TestDeadUnitsOnALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(39)}}
		cfg := serialLine(9600, 30, time.Minute, points)
		load := Plan(cfg)[0].Load // at a minute
		every := time.Duration(load * float64(time.Minute) * 1.02).Round(time.Millisecond)
		cfg = serialLine(9600, 30, every, points)
		if load := Plan(cfg)[0].Load; load > 1 || load < 0.95 {
			t.Fatalf("load %v at %v", load, every)
		}
		sim := modbustest.New()
		sim.Framing = modbustest.RTU
		sim.Latency = 5 * time.Millisecond
		for i := range 30 {
			sim.Unit(byte(i + 1))
		}
		r := overSlowLine(t, cfg, sim)
		time.Sleep(5 * every)
		for _, dead := range []byte{5, 12, 23} {
			sim.Unit(dead).Always(modbustest.Silence)
		}
		time.Sleep(6 * every)
		synctest.Wait()
		b := r.source.running()[0]
		late, busy := b.Status().Late, b.Status().Busy
		r.mu.Lock()
		r.batches = nil
		r.mu.Unlock()
		const cycles = 100
		time.Sleep(cycles * every)
		synctest.Wait()
		if n := b.Status().Late - late; n != 0 {
			t.Errorf("%d late cycles in %d of %v", n, cycles, every)
		}
		healthy := make(map[string]int)
		for _, batch := range r.stop() {
			if goodIn(batch) == 2 {
				healthy[batch.Device]++
			}
		}
		if len(healthy) != 27 {
			t.Errorf("%d units healthy, want 27", len(healthy))
		}
		for name, n := range healthy {
			if n < cycles-1 {
				t.Errorf("%s: %d good cycles of %d", name, n, cycles)
			}
		}
		spent := b.Status().Busy - busy
		t.Logf("every %v, line busy for %.1f %%", every, 100*float64(spent)/float64(cycles*every))
	})
}
