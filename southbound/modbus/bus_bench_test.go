package modbus

import (
	"context"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
)

// cycler polls one device of 1,000 points in 8 blocks over loopback, as fast as
// it is asked to.
func cycler(t testing.TB) (b *bus, j *job) {
	sim := modbustest.New()
	sim.Unit(1)
	bus := testBus(sim.Start(t))
	bus.Timeout *= 50
	points := make(map[string]Point)
	for i := range 1000 {
		points["p"+string(rune('a'+i/100))+string(rune('a'+i/10%10))+string(rune('a'+i%10))] = Point{Holding: at(i)}
	}
	r := resolve(Config{Buses: map[string]Bus{"plc": bus}, Devices: map[string]Device{"d": testDevice("plc", 1, points)}})
	spec := r.devices["d"]
	d := newDevice(spec, r.buses[spec.bus].cost(0))
	s, err := New(Config{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b = newBus(r.buses[spec.bus], s.dial, s.o.Log, s.learn)
	b.devices, b.jobs = []*device{d}, d.jobs
	t.Cleanup(b.link.Close)
	return b, d.jobs[0]
}

func (b *bus) cycle(ctx context.Context, j *job, emit bridge.Emit) {
	j.begin(time.Now())
	for j.active {
		b.step(ctx, j, emit)
	}
}

func BenchmarkPollCycle1000(b *testing.B) {
	bus, j := cycler(b)
	readings := 0
	emit := func(batch bridge.Batch, _ func(error)) { readings += len(batch.Readings) }
	b.ReportAllocs()
	for b.Loop() {
		bus.cycle(b.Context(), j, emit)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(readings), "ns/reading")
}

// TestCycleAllocations holds the poll loop to 10 allocations a block, the
// simulator's own included.
func TestCycleAllocations(t *testing.T) {
	bus, j := cycler(t)
	readings := 0
	emit := func(batch bridge.Batch, _ func(error)) { readings += len(batch.Readings) }
	n := testing.AllocsPerRun(50, func() { bus.cycle(t.Context(), j, emit) })
	if len(j.blocks) != 8 || readings != 51*1000 {
		t.Fatalf("%d blocks, %d readings", len(j.blocks), readings)
	}
	if n > 10*8 {
		t.Errorf("%v allocations for 8 blocks, want at most 80", n)
	}
}
