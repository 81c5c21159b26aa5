package numbers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// disk is a state that fails when it is told to, and counts.
type disk struct {
	mu     sync.Mutex
	values map[string][]byte
	fails  int // writes until one fails; 0 is never
	writes int
}

var errDisk = errors.New("the disk is full")

func (d *disk) Get(key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values[key], nil
}

func (d *disk) Put(key string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(value) > 64<<10 {
		return errors.New("a value has 64 KiB")
	}
	if d.fails > 0 {
		if d.fails--; d.fails == 0 {
			return errDisk
		}
	}
	if d.values == nil {
		d.values = make(map[string][]byte)
	}
	d.writes++
	d.values[key] = bytes.Clone(value)
	return nil
}

func batch(device string, names ...string) *bridge.Batch {
	b := &bridge.Batch{Device: device}
	for _, name := range names {
		b.Readings = append(b.Readings, bridge.Reading{Point: name, Value: bridge.Uint(7)})
	}
	return b
}

// run opens the numbers and has them give some, one batch after another.
func run(t *testing.T, state bridge.State, catalogue *bridge.Catalogue, batches ...*bridge.Batch) *Keeper {
	t.Helper()
	var k *Keeper
	synctest.Test(t, func(t *testing.T) {
		given := 0
		k = Open(state, catalogue, slog.New(slog.DiscardHandler), func() { given++ })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		for _, b := range batches {
			before, hash, told := k.points, k.Book().Hash(), given
			k.Unknown(b)
			synctest.Wait()
			if (k.Book().Hash() != hash) != (given > told) || (k.points > before) != (given > told) {
				t.Errorf("%d points, the book changed from %x to %x, told %d times", k.points, hash, k.Book().Hash(), given-told)
			}
		}
		cancel()
		<-ended
	})
	return k
}

// where returns the numbers of a point, "" if it has none.
func where(b *proto.Book, device, point string) string {
	for _, s := range b.Sheets(device) {
		for i := range s.Points {
			if s.Points[i].Name == point {
				return fmt.Sprintf("%d.%d %c%d", s.Number, i+1, s.Points[i].Kind, s.Points[i].Places)
			}
		}
	}
	return ""
}

func TestGiven(t *testing.T) {
	state := &disk{}
	first := run(t, state, nil, batch("a", "p", "q"), batch("b", "p"), batch("a", "p", "q", "r"), batch("a", "x"),
		batch("a", "p"))
	want := map[[2]string]string{{"a", "p"}: "1.1 u0", {"a", "q"}: "1.2 u0", {"b", "p"}: "2.1 u0", {"a", "r"}: "1.3 u0",
		{"a", "x"}: "3.1 u0"}
	for range 3 { // whatever is added, and over restarts
		for p, number := range want {
			if got := where(first.Book(), p[0], p[1]); got != number {
				t.Errorf("%v has number %q, want %q", p, got, number)
			}
		}
		again := run(t, state, nil)
		if again.Book().Hash() != first.Book().Hash() || again.points != first.points {
			t.Errorf("after a restart %d points, hash %x, not %d, %x", again.points, again.Book().Hash(), first.points,
				first.Book().Hash())
		}
		first = run(t, state, nil, batch("c", "p"))
		want[[2]string{"c", "p"}] = "4.1 u0"
	}
}

// A write that fails gives nothing, at whatever step: the next start has what the book
// had, or nothing of what was not seen.
func TestDiskFails(t *testing.T) {
	for fails := 1; fails <= 4; fails++ {
		state := &disk{fails: fails}
		k := run(t, state, nil, batch("a", "p"), batch("b", "q"), batch("c", "r"))
		again := run(t, state, nil)
		if k.Book().Hash() != again.Book().Hash() || k.Book().Len() != 2 {
			t.Errorf("write %d: %d sheets, %d on disk", fails, k.Book().Len(), again.Book().Len())
		}
		k = run(t, state, nil, batch("z", "y"), batch("a", "p"), batch("b", "q"), batch("c", "r"))
		taken := make(map[string]bool)
		for _, p := range [][2]string{{"z", "y"}, {"a", "p"}, {"b", "q"}, {"c", "r"}} {
			n := where(k.Book(), p[0], p[1])
			if old := where(again.Book(), p[0], p[1]); n == "" || taken[n] || old != "" && old != n {
				t.Errorf("write %d: %v has %q, had %q", fails, p, n, old)
			}
			taken[n] = true
		}
	}
}

// What cannot be read gives no numbers: those that were given may not be given again.
func TestUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(*disk){
		"count": func(d *disk) { d.values[keyCount] = []byte("many") },
		"gone":  func(d *disk) { delete(d.values, keySheet+"1") },
		"torn":  func(d *disk) { d.values[keySheet+"2"] = d.values[keySheet+"2"][:3] },
		"moved": func(d *disk) { d.values[keySheet+"2"] = d.values[keySheet+"1"] },
	} {
		state := &disk{}
		run(t, state, nil, batch("a", "p"), batch("b", "q"))
		spoil(state)
		writes := state.writes
		if k := run(t, state, nil, batch("a", "p"), batch("c", "r")); k.Book() != nil || state.writes != writes {
			t.Errorf("%s: %d sheets, %d writes", name, k.Book().Len(), state.writes-writes)
		}
	}
}

// The catalogue says what values of a point there may be.
func TestHints(t *testing.T) {
	var catalogue bridge.Catalogue
	catalogue.Put(bridge.DeviceInfo{Device: "d", Points: []bridge.PointInfo{
		{Name: "scaled", Type: "uint16", Places: 1}, {Name: "signed", Type: "int16", Places: 1},
		{Name: "below", Type: "uint16", Places: 2}, {Name: "counter", Type: "uint64"}, {Name: "when", Type: "time"},
		{Name: "float", Type: "float32", Places: 1}}})
	values := map[string]bridge.Value{"scaled": bridge.Float64(21), "signed": bridge.Float64(21),
		"below": bridge.Float64(-1.5), "counter": bridge.Uint(5), "when": bridge.Int(1763887500123),
		"float": bridge.Float64(7.1523), "sensor": bridge.Float64(21.5), "large": bridge.Uint(1 << 60),
		"bad": bridge.Bad(bridge.ReasonTimeout)}
	b := &bridge.Batch{Device: "d"}
	for name, v := range values {
		b.Readings = append(b.Readings, bridge.Reading{Point: name, Value: v})
	}
	k := run(t, nil, &catalogue, b)
	for name, want := range map[string]string{"scaled": "u1", "signed": "i1", "below": "i2", "counter": "d0", "when": "d0",
		"float": "d0", "sensor": "i3", "large": "d0", "bad": ""} {
		got := where(k.Book(), "d", name)
		if got != "" {
			got = got[len(got)-2:]
		}
		if got != want {
			t.Errorf("%s is in list %q, want %q", name, got, want)
		}
	}
}

// Ever new names do not fill the disk, and a sheet fits a value of the state.
func TestBounded(t *testing.T) {
	state := &disk{}
	k := Open(state, nil, slog.New(slog.DiscardHandler), func() {})
	k.most = 5000
	for i := range 10 {
		var names []string
		for j := range 2000 {
			names = append(names, fmt.Sprintf("a_point_with_a_name_that_is_as_long_as_names_can_be_%d_%d", i, j))
		}
		if given := k.give(batch(fmt.Sprint("device-", i), names...)); given != (i < 2) {
			t.Errorf("batch %d: given %v", i, given)
		}
	}
	if k.points != 4000 || k.Book().Len() < 4 {
		t.Errorf("%d points in %d sheets have numbers", k.points, k.Book().Len())
	}
	if again := run(t, state, nil); again.Book().Hash() != k.Book().Hash() {
		t.Error("what is on disk is something else")
	}
}
