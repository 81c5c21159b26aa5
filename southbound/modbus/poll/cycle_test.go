package poll

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// register returns a field of one holding register.
func register(address int) *point.Field {
	f := &point.Field{Name: fmt.Sprintf("p%03d", address), TypeName: "uint16", Kind: point.KindUint, Bits: 16,
		Load: point.Loader(16, point.Order{}), Table: wire.Holding, Address: address, Words: 1, Every: time.Second,
		Special: point.Plain}
	f.Settle()
	return f
}

// testSpec returns a device with these fields.
func testSpec(fields []*point.Field) spec.Device {
	return spec.Device{Unit: wire.Unit{Name: "d", ID: 1, Timeout: 5 * time.Second}, Every: time.Second,
		Limits: plan.Limits{Words: 125, Bits: 2000, Gap: -1}, Fields: fields}
}

// cycler polls one device of 1,000 points in 8 blocks over loopback, as fast as
// it is asked to.
func cycler(t testing.TB) (b *Bus, j *job) {
	sim := modbustest.New()
	sim.Unit(1)
	address, err := wire.ParseURL("tcp://" + sim.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	var fields []*point.Field
	for i := range 1000 {
		fields = append(fields, register(i))
	}
	spec := spec.Bus{Name: "plc", Place: wire.Place{Address: address, ConnectTimeout: 5 * time.Second, Pipeline: 1}}
	d := NewDevice(testSpec(fields), spec.Cost(0), plan.Learnt{})
	b = NewBus(spec, spec.Dial, slog.New(slog.DiscardHandler), func(string, plan.Learnt) {}, func(string, string) {})
	b.devices, b.jobs = []*Device{d}, d.jobs
	t.Cleanup(b.link.Close)
	return b, d.jobs[0]
}

func (b *Bus) cycle(ctx context.Context, j *job, emit bridge.Emit) {
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

// usual returns n fields of the usual types, in a row.
func usual(n int) []*point.Field {
	tenth := bridge.NewScaling(&bridge.Decimal{Coef: 1, Exp: -1}, nil)
	var fields []*point.Field
	for i := range n {
		f := register(i)
		switch i % 4 {
		case 1:
			f.TypeName, f.Kind, f.Scaling = "int16", point.KindInt, tenth
		case 2:
			t := point.Types["float32"]
			f.TypeName, f.Kind, f.Bits, f.Words = "float32", t.Kind, uint8(t.Bits), 2
			f.Load = point.Loader(t.Bits, point.Order{})
		case 3:
			f.TypeName, f.Kind, f.Shift, f.Mask = "bool", point.KindBool, 3, 1
		}
		f.Settle()
		fields = append(fields, f)
	}
	return fields
}

func BenchmarkDecodeBlock(b *testing.B) {
	fields := usual(124)
	d := NewDevice(testSpec(fields), plan.Cost{Request: time.Second}, plan.Learnt{})
	j := d.jobs[0]
	j.plan()
	blk := j.blocks[0]
	data := make([]byte, 2*blk.Count)
	j.readings = make([]bridge.Reading, 0, j.points)
	b.ReportAllocs()
	for b.Loop() {
		j.readings = j.readings[:0]
		j.take(blk, data, time.Time{}, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(j.points), "ns/point")
}
