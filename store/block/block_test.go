package block

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

var compareValues = cmp.Options{
	cmp.Comparer(func(a, b bridge.Value) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
}

// randomValue returns values of all kinds, the odd ones often.
func randomValue(rnd *rand.Rand) bridge.Value {
	switch rnd.IntN(10) {
	case 0:
		return bridge.Bad(bridge.Reason(rnd.IntN(int(bridge.Reasons))))
	case 1:
		return bridge.Bool(rnd.IntN(2) == 0)
	case 2:
		return bridge.Int(int64(rnd.Uint64()))
	case 3:
		return bridge.Uint(rnd.Uint64() >> rnd.IntN(64))
	case 4:
		return bridge.Float32(math.Float32frombits(rnd.Uint32()))
	case 5:
		return bridge.Float64(math.Float64frombits(rnd.Uint64()))
	case 6:
		return bridge.Float64(float64(rnd.IntN(10000)-5000) / 100)
	case 7:
		return bridge.Float32(float32(rnd.IntN(10000)-5000) / 10)
	case 8:
		return bridge.Float32(float32(math.Copysign(0, float64(rnd.IntN(2))-0.5)))
	default:
		return bridge.String(strings.Repeat("é\x00", rnd.IntN(5)))
	}
}

func randomBatches(rnd *rand.Rand) []Numbered {
	batches := make([]Numbered, 1+rnd.IntN(40))
	p := bridge.Position(1 + rnd.IntN(1000))
	at := rnd.Int64N(1 << 42)
	for i := range batches {
		p += bridge.Position(rnd.IntN(3))
		at += rnd.Int64N(2000) - 100
		b := Numbered{Position: p, Mono: rnd.Int64N(1 << 40), Batch: bridge.Batch{
			Device: fmt.Sprintf("device-%d", rnd.IntN(6)), At: time.UnixMilli(at), Unsynced: rnd.IntN(3) == 0}}
		for j := range rnd.IntN(6) {
			b.Readings = append(b.Readings, bridge.Reading{
				Point: fmt.Sprintf("point_%d", j*(1+rnd.IntN(2))), Value: randomValue(rnd)})
		}
		batches[i] = b
		p++
	}
	return batches
}

func TestBlockKeepsEverything(t *testing.T) {
	var e Encoder
	var d Decoder
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		batches := randomBatches(rnd)
		h := Header{Run: "3k7q9x2m", Seq: 7, Before: bridge.Count{Batches: 5, Readings: 1 << 40},
			Wall: -3, Uptime: 4, Mono: 5}
		if seed%3 == 1 {
			h.Owner = "press-line-2"
		}
		if seed%3 == 2 {
			h.Cause, h.Origin = "the cloud refuses it: 0x97", 1<<40
		}
		block, err := e.Encode(&h, batches)
		if err != nil {
			t.Fatal(err)
		}
		got, payload, err := Open(block)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got != h {
			t.Fatalf("seed %d: header %+v, want %+v", seed, got, h)
		}
		entries, mono, err := d.Decode(&got, payload)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i := range batches {
			want := bridge.Entry{Batch: batches[i].Batch, Position: batches[i].Position, Run: h.Run,
				Seq: 7 + uint64(batches[i].Position-h.First)}
			if len(want.Readings) == 0 {
				want.Readings = []bridge.Reading{}
			}
			if diff := cmp.Diff(want, entries[i], compareValues); diff != "" || mono[i] != batches[i].Mono {
				t.Fatalf("seed %d batch %d: mono %d, want %d; (-want +got):\n%s", seed, i, mono[i], batches[i].Mono, diff)
			}
		}
	}
}

// TestBlockSizes holds the aims for bytes per reading.
func TestBlockSizes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	walk := func(step float64) func(int, int) bridge.Value {
		state := map[int]float64{}
		return func(device, point int) bridge.Value {
			key := device*1000 + point
			if _, ok := state[key]; !ok {
				state[key] = 20 + 60*rnd.Float64()
			}
			state[key] += step * (rnd.Float64() - 0.5)
			return bridge.Float32(float32(math.Round(state[key]*10) / 10))
		}
	}
	noisy := func(int, int) bridge.Value { return bridge.Float32(float32(20 + 60*rnd.Float64())) }
	series := func(devices, points, times int, value func(device, point int) bridge.Value) []Numbered {
		var out []Numbered
		for i := range times {
			for d := range devices {
				b := bridge.Batch{Device: fmt.Sprintf("press-%02d", d),
					At: time.UnixMilli(1763887500000 + int64(i)*1000 + int64(rnd.IntN(20)) + int64(d))}
				for p := range points {
					b.Readings = append(b.Readings, bridge.Reading{Point: fmt.Sprintf("temperature_%d", p), Value: value(d, p)})
				}
				out = append(out, Numbered{Batch: b, Position: bridge.Position(len(out) + 1),
					Mono: b.At.UnixMilli() - 1763887400000})
			}
		}
		return out
	}
	for _, c := range []struct {
		name    string
		batches []Numbered
		most    float64
	}{
		{"slowly changing, 20 points x 50 s", series(1, 20, 50, walk(0.1)), 1},
		{"noisy float32, 20 points x 50 s", series(1, 20, 50, noisy), 4},
		{"50 devices x 20 points x one instant", series(50, 20, 1, walk(0.1)), 3},
	} {
		var e Encoder
		h := Header{Run: "3k7q9x2m", Seq: 1}
		block, err := e.Encode(&h, c.batches)
		if err != nil {
			t.Fatal(err)
		}
		per := float64(len(block)) / float64(h.Count.Readings)
		t.Logf("%s: %d bytes, %.2f a reading", c.name, len(block), per)
		if per > c.most {
			t.Errorf("%s: %.2f bytes a reading, at most %v are allowed", c.name, per, c.most)
		}
	}
}

// workedExample is the block of format.md.
func workedExample(t testing.TB) []byte {
	at := time.UnixMilli(1763887500123)
	var e Encoder
	h := Header{Run: "3k7q9x2m", Seq: 1042, Before: bridge.Count{Batches: 1041, Readings: 3123},
		Wall: 1763887503000, Uptime: 86_403_000, Mono: 3_603_000}
	block, err := e.Encode(&h, []Numbered{
		{Batch: bridge.Batch{Device: "boiler", At: at, Readings: []bridge.Reading{
			{Point: "supply_temp", Value: bridge.Float32(71.5)},
			{Point: "running", Value: bridge.Bool(true)}}}, Position: 2042, Mono: 3_600_123},
		{Batch: bridge.Batch{Device: "boiler", At: at.Add(time.Second), Unsynced: true, Readings: []bridge.Reading{
			{Point: "supply_temp", Value: bridge.Float32(71.6)},
			{Point: "running", Value: bridge.Bad(bridge.Exception(2))}}}, Position: 2043, Mono: 3_601_123},
	})
	if err != nil {
		t.Fatal(err)
	}
	return block
}

func TestDamagedBlocksAreRefused(t *testing.T) {
	block := workedExample(t)
	t.Logf("\n%s", hex.Dump(block))
	for i := range block {
		for bit := range 8 {
			bad := append([]byte(nil), block...)
			bad[i] ^= 1 << bit
			if _, _, err := Open(bad); err == nil {
				t.Fatalf("byte %d bit %d flipped: not noticed", i, bit)
			}
		}
		if _, _, err := Open(block[:i]); err == nil {
			t.Fatalf("cut at %d: not noticed", i)
		}
	}
}

// FuzzDecode feeds the decoder payloads that pass the checksum.
func FuzzDecode(f *testing.F) {
	add := func(block []byte) {
		h, payload, err := Open(block)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint32(h.Count.Batches), uint32(h.Count.Readings), uint8(h.Last-h.First), h.version == 1, payload)
	}
	add(workedExample(f))
	add(fixture(f, "version1-example.block"))
	var e Encoder
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		h := Header{Run: "3k7q9x2m", Seq: 1}
		if _, err := e.Encode(&h, randomBatches(rnd)); err != nil {
			f.Fatal(err)
		}
		f.Add(uint32(h.Count.Batches), uint32(h.Count.Readings), uint8(h.Last-h.First), false, append([]byte(nil), e.raw...))
	}
	f.Fuzz(func(t *testing.T, batches, readings uint32, width uint8, old bool, payload []byte) {
		h := Header{Run: "3k7q9x2m", First: 1, Last: 1 + bridge.Position(width), raw: len(payload), version: Version,
			Count: bridge.Count{Batches: uint64(batches % 1000), Readings: uint64(readings % 100000)}}
		if old {
			h.version = 1
		}
		var d Decoder
		entries, _, err := d.Decode(&h, payload)
		if err == nil && len(entries) != int(h.Count.Batches) {
			t.Errorf("%d entries, the header has %d", len(entries), h.Count.Batches)
		}
	})
}

// FuzzHeader feeds the reader of headers anything, and writes what it takes over
// the bytes that it came from.
func FuzzHeader(f *testing.F) {
	f.Add(workedExample(f))
	f.Add(fixture(f, "version1-all.block"))
	var e Encoder
	h := Header{Run: "3k7q9x2m", Seq: 1, Owner: "press", Cause: "too large", Origin: 77}
	block, err := e.Encode(&h, randomBatches(rand.New(rand.NewPCG(1, 0))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Clone(block))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		again := slices.Clone(b)
		h.Put(again)
		got, err := ParseHeader(again)
		if err != nil {
			t.Fatal(err)
		}
		if got != h {
			t.Errorf("read %+v, wrote and read %+v", h, got)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, devices := range []int{1, 10} {
		b.Run(fmt.Sprintf("readings=%d", devices*1000), func(b *testing.B) {
			batches := benchBatches(devices, 1000)
			var e Encoder
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				h := Header{Run: "3k7q9x2m", Seq: 1}
				if _, err := e.Encode(&h, batches); err != nil {
					b.Fatal(err)
				}
				n += int(h.Count.Readings)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/reading")
		})
	}
}

// benchBatches returns one batch a device with drifting values of points.
func benchBatches(devices, points int) []Numbered {
	rnd := rand.New(rand.NewPCG(3, 4))
	out := make([]Numbered, devices)
	for d := range out {
		b := bridge.Batch{Device: fmt.Sprintf("device-%d", d), At: time.UnixMilli(1763887500123),
			Readings: make([]bridge.Reading, points)}
		for p := range b.Readings {
			b.Readings[p] = bridge.Reading{Point: fmt.Sprintf("register_%d", p), Value: bridge.Uint(uint64(1000 + rnd.IntN(50)))}
		}
		out[d] = Numbered{Batch: b, Position: bridge.Position(d + 1)}
	}
	return out
}
