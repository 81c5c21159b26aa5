package block

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// fixture returns a file of testdata. Those of version 1 were written by the
// encoder of commit 268a91e.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// version1Values are what version1-all.block has: every kind, and each reason
// that a byte could hold.
func version1Values() []bridge.Value {
	values := []bridge.Value{
		bridge.Bool(true), bridge.Bool(false),
		bridge.Int(0), bridge.Int(-1), bridge.Int(math.MaxInt64), bridge.Int(math.MinInt64),
		bridge.Uint(0), bridge.Uint(math.MaxUint64), bridge.Uint(1 << 53),
		bridge.Float32(0), bridge.Float32(71.5), bridge.Float32(21.3), bridge.Float32(math.MaxFloat32),
		bridge.Float64(0), bridge.Float64(21.3), bridge.Float64(math.Pi), bridge.Float64(1e15 + 0.1),
		bridge.String(""), bridge.String("°C and \x00"), bridge.String(strings.Repeat("long ", 50)),
	}
	for r := range bridge.Reason(256) {
		values = append(values, bridge.Bad(r))
	}
	return values
}

func version1Batches() []Numbered {
	values := version1Values()
	var batches []Numbered
	for i := range len(values) {
		b := Numbered{Position: bridge.Position(101 + i + i/100), Mono: int64(1000 + i), Batch: bridge.Batch{
			Device: "dev" + string(rune('a'+i%3)), At: time.UnixMilli(1763887500123 + int64(i)), Unsynced: i%7 == 0}}
		for j := range 1 + i%4 {
			b.Readings = append(b.Readings, bridge.Reading{Point: "p" + string(rune('a'+j)), Value: values[(i+j*j)%len(values)]})
		}
		batches = append(batches, b)
	}
	return batches
}

func TestVersion1IsRead(t *testing.T) {
	data := fixture(t, "version1-all.block")
	h, payload, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	batches := version1Batches()
	want := Header{Run: "3k7q9x2m", Seq: 7, Before: bridge.Count{Batches: 5, Readings: 1 << 40},
		Wall: 1763887503000, Uptime: 4, Mono: 5, First: 101, Last: 378, Count: bridge.Count{Batches: 276,
			Readings: 690}, Oldest: 1763887500123, Newest: 1763887500398}
	got := h
	got.version, got.flags, got.size, got.raw, got.payload, got.checksum = 0, 0, 0, 0, 0, 0
	if got != want || h.version != 1 {
		t.Errorf("header of version %d: %+v, want %+v", h.version, got, want)
	}
	var d Decoder
	entries, mono, err := d.Decode(&h, payload)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(batches) {
		t.Fatalf("%d batches, want %d", len(entries), len(batches))
	}
	for i := range batches {
		want := bridge.Entry{Batch: batches[i].Batch, Position: batches[i].Position, Run: h.Run,
			Seq: 7 + uint64(batches[i].Position-h.First)}
		if diff := cmp.Diff(want, entries[i], compareValues); diff != "" || mono[i] != batches[i].Mono {
			t.Errorf("batch %d: run time %d, want %d; (-want +got):\n%s", i, mono[i], batches[i].Mono, diff)
		}
	}
}

// A block of version 1 whose counts are put right, as a repair does it, stays one.
func TestVersion1StaysWhenItsHeaderIsPut(t *testing.T) {
	data := fixture(t, "version1-example.block")
	h, _, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	again := slices.Clone(data)
	h.Put(again)
	if diff := cmp.Diff(data, again); diff != "" {
		t.Errorf("(-read +put):\n%s", diff)
	}
	h.Before.Batches++
	h.Put(again)
	got, payload, err := Open(again)
	if err != nil || got.Before != h.Before {
		t.Fatalf("%+v, %v", got, err)
	}
	var d Decoder
	entries, _, err := d.Decode(&got, payload)
	if err != nil {
		t.Fatal(err)
	}
	if v := entries[1].Readings[1].Value; v != bridge.Bad(bridge.Exception(2)) {
		t.Errorf("the last value is %v", v)
	}
}

func TestHeadersThatAreTooLong(t *testing.T) {
	var e Encoder
	h := Header{Run: "3k7q9x2m", Seq: 1, Cause: strings.Repeat("x", MaxHeader)}
	if _, err := e.Encode(&h, version1Batches()[:1]); err == nil {
		t.Error("a header longer than MaxHeader is written")
	}
}
