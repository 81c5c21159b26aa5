package modbus

import (
	"context"
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

// lineMeter tells how long a line waited for the answers of each unit.
type lineMeter struct {
	wire.Stream

	mu   sync.Mutex
	unit byte
	took map[byte]time.Duration
}

func (m *lineMeter) Write(b []byte) (int, error) {
	m.mu.Lock()
	m.unit = b[0]
	m.mu.Unlock()
	return m.Stream.Write(b)
}

func (m *lineMeter) Read(b []byte) (int, error) {
	began := time.Now()
	n, err := m.Stream.Read(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took[m.unit] += time.Since(began)
	return n, err
}

// of returns the time for some units.
func (m *lineMeter) of(units []byte) (all time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range units {
		all += m.took[u]
	}
	return all
}

// darkLine polls thirty units on a line of 9,600 baud, at an interval that keeps it
// busy for that load; dark of them are without power from the start, or go dark
// together after a while. It returns how many good cycles the others lack in 15 s
// and in 60 s from then on, and what share of that time the dark ones took.
func darkLine(t *testing.T, dark int, load float64, atStart bool) (lost [2]int, share [2]float64) {
	points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(39)}}
	every := time.Duration(Plan(serialLine(9600, 30, time.Minute, points))[0].Load / load *
		float64(time.Minute)).Round(time.Millisecond)
	cfg := serialLine(9600, 30, every, points)
	b := cfg.Buses["hall-a"]
	b.Timeout = setting.Duration(time.Second)
	cfg.Buses["hall-a"] = b
	sim := modbustest.New()
	sim.Framing, sim.Latency = modbustest.RTU, 5*time.Millisecond
	var off []byte
	for i := range 30 {
		sim.Unit(byte(i + 1))
		if i%(30/dark) == 0 {
			off = append(off, byte(i+1))
		}
	}
	darken := func() {
		for _, u := range off {
			sim.Unit(u).Always(modbustest.Silence)
		}
	}
	if atStart {
		darken()
	}
	meter := &lineMeter{took: make(map[byte]time.Duration)}
	r := newRigDial(t, cfg, nil, func(ctx context.Context, spec spec.Bus) (wire.Stream, error) {
		conn, err := sim.Dial(ctx)
		meter.Stream = &slowLine{Conn: conn, char: spec.Serial.Char()}
		return meter, err
	})
	defer r.stop()
	if !atStart {
		time.Sleep(20*every + every/3)
		darken()
	}
	synctest.Wait()
	began, before := time.Now(), meter.of(off)
	for i, after := range []time.Duration{15 * time.Second, time.Minute} {
		time.Sleep(after - time.Since(began))
		synctest.Wait()
		cycles := make(map[string]int)
		r.mu.Lock()
		for i, b := range r.batches {
			if goodIn(b) == 2 && !r.arrived[i].Before(began) {
				cycles[b.Device]++
			}
		}
		r.mu.Unlock()
		for u := range 30 {
			if u%(30/dark) != 0 {
				lost[i] += max(0, int(after/every)-1-cycles["unit-"+string(rune('a'+u/10))+string(rune('0'+u%10))])
			}
		}
		share[i] = float64(meter.of(off)-before) / float64(after)
	}
	return lost, share
}

// TestPilot4: units that are dark take a tenth of a line at most from their first
// silent request on, but for asking each once, and cost the others no cycle.
func TestPilot4(t *testing.T) {
	for i, dark := range []int{1, 3, 15} {
		for j, load := range []float64{0.5, 0.8, 0.95} {
			for k, atStart := range []bool{true, false} {
				if !thorough() && (i+j+k)%2 != 0 {
					continue // each pair of these
				}
				synctest.Test(t, func(t *testing.T) {
					lost, share := darkLine(t, dark, load, atStart)
					most := map[bool][3]float64{true: {0.12, 0.11, 1}, false: {0.35, 0.14, 4}}[dark < 15]
					if share[0] > most[0] || share[1] > most[1] || float64(lost[1]) > most[2] {
						t.Errorf("%d dark, load %v, at the start %v: healthy cycles lost in 15s, 60s: %d; time taken %.2f",
							dark, load, atStart, lost, share)
					}
				})
			}
		}
	}
}

// TestLostFrame: one answer that gets lost makes no reading bad where the line has
// time for another try, though a unit is dark.
func TestLostFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := serialLine(9600, 5, 2*time.Second, map[string]setup.Point{"a": {Holding: at(0)}})
		sim := modbustest.New()
		sim.Framing, sim.Latency = modbustest.RTU, 5*time.Millisecond
		for i := range 5 {
			sim.Unit(byte(i + 1))
		}
		sim.Unit(5).Always(modbustest.Silence)
		r := overSlowLine(t, cfg, sim)
		defer r.stop()
		time.Sleep(20 * time.Second)
		for i := range 40 {
			sim.Unit(byte(i%4 + 1)).Next(modbustest.Silence)
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		for i := range 4 {
			batches := r.of("unit-a" + string(rune('0'+i)))
			if len(batches) < 108 {
				t.Errorf("unit %d: %d cycles in 220s", i+1, len(batches))
			}
			for _, b := range batches {
				if goodIn(b) != 1 {
					t.Errorf("unit %d: %s", i+1, values(b))
				}
			}
		}
	})
}

// TestSlowUnit: a unit that gets slow while others go dark is not taken for one of
// them for long, though it is known as a fast one and the line is short of time.
func TestSlowUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := serialLine(9600, 10, 2*time.Second, map[string]setup.Point{"a": {Holding: at(0)}})
		b := cfg.Buses["hall-a"]
		b.Timeout = setting.Duration(time.Second)
		cfg.Buses["hall-a"] = b
		sim := modbustest.New()
		sim.Framing, sim.Latency = modbustest.RTU, 5*time.Millisecond
		for i := range 10 {
			sim.Unit(byte(i + 1))
		}
		r := overSlowLine(t, cfg, sim)
		defer r.stop()
		time.Sleep(30 * time.Second)
		for i := range 8 {
			sim.Unit(byte(i + 1)).Always(modbustest.Silence)
		}
		for _, u := range []byte{9, 10} {
			sim.Unit(u).Always(modbustest.Late(400 * time.Millisecond))
		}
		time.Sleep(3 * time.Minute)
		r.of("unit-a8")
		r.of("unit-a9")
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, d := range []string{"unit-a8", "unit-a9"} {
			good := 0
			for _, batch := range r.of(d) {
				good += goodIn(batch)
			}
			if good < 28 {
				t.Errorf("%s: %d good readings in a minute", d, good)
			}
		}
	})
}

// TestOverdue: where a line is asked for far more than it can do, no point stays
// as it was for longer than three intervals without a word.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		points := map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(39)}}
		every := time.Duration(Plan(serialLine(9600, 30, time.Minute, points))[0].Load / 6 *
			float64(time.Minute)).Round(time.Millisecond)
		sim := modbustest.New()
		sim.Framing, sim.Latency = modbustest.RTU, 5*time.Millisecond
		for i := range 30 {
			sim.Unit(byte(i + 1))
		}
		r := overSlowLine(t, serialLine(9600, 30, every, points), sim)
		time.Sleep(time.Minute)
		synctest.Wait()
		last, overdue, good := make(map[string]time.Time), 0, 0
		for i, b := range r.stop() {
			for _, reading := range b.Readings {
				name := b.Device + "." + reading.Point
				if before, ok := last[name]; ok && r.arrived[i].Sub(before) > max(3*every, time.Second)+every {
					t.Fatalf("%s: nothing for %v, every %v", name, r.arrived[i].Sub(before), every)
				}
				last[name] = r.arrived[i]
				if reading.Value.Good() {
					good++
				} else if reading.Value.Reason() == bridge.ReasonOverdue {
					overdue++
				}
			}
		}
		if overdue == 0 || good == 0 || len(last) != 60 {
			t.Errorf("%d overdue, %d good, of %d points", overdue, good, len(last))
		}
	})
}
