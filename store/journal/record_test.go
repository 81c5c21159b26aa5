package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

func sameValue(a, b bridge.Value) bool { return a == b }

func TestRecords(t *testing.T) {
	at := time.UnixMilli(1763887500123)
	batch := bridge.Batch{Device: "boiler", At: at, Unsynced: true, Readings: []bridge.Reading{
		{Point: "a", Value: bridge.Bool(true)}, {Point: "b", Value: bridge.Int(-3)},
		{Point: "c", Value: bridge.Uint(math.MaxUint64)}, {Point: "d", Value: bridge.Float32(21.3)},
		{Point: "e", Value: bridge.Float64(-0.1)}, {Point: "f", Value: bridge.String(strings.Repeat("ä", 200))},
		{Point: strings.Repeat("g", 130), Value: bridge.Bad(bridge.Exception(255))}, {Point: "h", Value: bridge.String("")},
	}}
	for name, tt := range map[string]struct {
		body []byte
		want Record
	}{
		"batch": {AppendEntry(nil, 1<<40, 7, 99, 0, &batch), Record{Entry: &Entry{1 << 40, 7, 99, 0, batch}}},
		"empty batch": {AppendEntry(nil, 1, 1, 0, 0, &bridge.Batch{Device: "d", At: time.UnixMilli(-5)}),
			Record{Entry: &Entry{1, 1, 0, 0, bridge.Batch{Device: "d", At: time.UnixMilli(-5), Readings: []bridge.Reading{}}}}},
		"again": {AppendEntry(nil, 1<<40, 7, 99, 300, &batch), Record{Entry: &Entry{1 << 40, 7, 99, 300, batch}}},
		"done":  {AppendDone(nil, []bridge.Position{5, 6, 9, 2}), Record{Done: []bridge.Position{5, 6, 9, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			got, err := d.Decode(tt.body)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(sameValue)); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			for n := range tt.body[:len(tt.body)-1] {
				if got, err := d.Decode(tt.body[:n]); name == "batch" && !errors.Is(err, ErrRecord) {
					t.Fatalf("the first %d bytes are read as %+v, %v", n, got, err)
				}
			}
		})
	}
	var d Decoder
	if _, err := d.Decode([]byte{99}); !errors.Is(err, ErrRecord) {
		t.Errorf("an unknown kind: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendDone(nil, []bridge.Position{1, 2}))
	f.Add(AppendEntry(nil, 1, 2, 3, 4, &bridge.Batch{Device: "d", At: time.UnixMilli(4), Readings: []bridge.Reading{
		{Point: "p", Value: bridge.Float64(1)}, {Point: "q", Value: bridge.String("x")}}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		var d Decoder
		r, err := d.Decode(body)
		if err != nil || r.Entry == nil {
			return
		}
		e := r.Entry
		again, err := d.Decode(AppendEntry(nil, e.Position, e.Seq, e.Mono, e.Letter, &e.Batch))
		if diff := cmp.Diff(r, again, cmp.Comparer(sameValue)); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// BenchmarkAppendEntry is what a polled device of 1,000 points costs.
func BenchmarkAppendEntry(b *testing.B) {
	batch := bridge.Batch{Device: "d1", At: time.Now()}
	for i := range 1000 {
		batch.Readings = append(batch.Readings, bridge.Reading{Point: fmt.Sprint("r", i), Value: bridge.Uint(uint64(i))})
	}
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body = AppendEntry(body[:0], 1, 1, 1, 0, &batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/reading")
	b.ReportMetric(float64(len(bytes.Clone(body)))/1000, "bytes/reading")
}
