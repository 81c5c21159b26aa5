package proto

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
)

var noon = time.UnixMilli(1763887500123)

func entry(seq uint64, device string, readings ...bridge.Reading) bridge.Entry {
	return bridge.Entry{Run: "3k7q9x2m", Seq: seq, Batch: bridge.Batch{Device: device, At: noon, Readings: readings}}
}

func reading(point string, v bridge.Value) bridge.Reading {
	return bridge.Reading{Point: point, Value: v}
}

// everyValue has what is hard to tell: the limits of each list, what stands for an
// absent value, all reasons.
func everyValue() []bridge.Value {
	all := []bridge.Value{
		bridge.Bool(false), bridge.Bool(true),
		bridge.Uint(0), bridge.Uint(1), bridge.Uint(127), bridge.Uint(128), bridge.Uint(65535), bridge.Uint(NoUint - 1),
		bridge.Uint(NoUint), bridge.Uint(NoUint + 1), bridge.Uint(maxExact), bridge.Uint(maxExact + 1),
		bridge.Uint(math.MaxUint64),
		bridge.Int(0), bridge.Int(-1), bridge.Int(63), bridge.Int(-64), bridge.Int(math.MaxInt32), bridge.Int(NoInt + 1),
		bridge.Int(NoInt), bridge.Int(NoInt - 1), bridge.Int(-maxExact), bridge.Int(-maxExact - 1),
		bridge.Int(math.MinInt64), bridge.Int(math.MaxInt64),
		bridge.Float32(0), bridge.Float32(21.3), bridge.Float32(NoFloat), bridge.Float32(math.MaxFloat32),
		bridge.Float32(math.SmallestNonzeroFloat32), bridge.Float32(float32(math.Copysign(0, -1))),
		bridge.Float64(0), bridge.Float64(math.Copysign(0, -1)), bridge.Float64(21.3), bridge.Float64(-0.001),
		bridge.Float64(1.5e-9), bridge.Float64(1e300), bridge.Float64(NoDouble), bridge.Float64(math.MaxFloat64),
		bridge.Float64(0.1 + 0.2), bridge.Float64(1.0 / 3), bridge.Float64(123456.789), bridge.Float64(maxExact + 2),
		bridge.String(""), bridge.String("a"), bridge.String("a\"b\\c\n\x01é\u2028😀"),
		bridge.String(strings.Repeat("x", 300)),
	}
	for r := range bridge.Reasons {
		all = append(all, bridge.Bad(r))
	}
	return all
}

// same reports whether got says what want does: the number, the text, the reason.
func same(got Reading, want bridge.Reading) bool {
	if !want.Value.Good() {
		return got.Bad == want.Value.Reason().String()
	}
	if got.Bad != "" {
		return false
	}
	g, w := got.Value, want.Value
	switch w.Kind() {
	case bridge.KindBool, bridge.KindString:
		return g == w
	case bridge.KindFloat32: // as a float of 32 bits, or in all its digits
		f, ok := g.Float()
		x := math.Float32frombits(uint32(w.Bits()))
		return ok && math.Float32bits(float32(f)) == math.Float32bits(x) && (g.Kind() == bridge.KindFloat32 || x == NoFloat)
	case bridge.KindFloat64:
		f, ok := g.Float()
		return ok && math.Float64bits(f) == w.Bits()
	}
	return string(decimalText(g)) == string(w.AppendNumber(nil))
}

// decimalText returns a number as its digits without an exponent.
func decimalText(v bridge.Value) []byte {
	if f, ok := v.Float(); ok && v.Kind() == bridge.KindFloat64 {
		return fmt.Appendf(nil, "%.0f", f)
	}
	return v.AppendNumber(nil)
}

// check reads a message and compares it with what was packed.
func check(t testing.TB, message []byte, book *Book, entries []bridge.Entry) *Message {
	t.Helper()
	m, err := Read(message)
	if err != nil {
		t.Fatalf("Read: %v in %x", err, message)
	}
	batches, err := m.Batches(book.Sheet)
	if err != nil {
		t.Fatalf("Batches: %v in %x", err, message)
	}
	if len(batches) != len(entries) {
		t.Fatalf("%d batches, want %d", len(batches), len(entries))
	}
	for _, e := range entries {
		i := slices.IndexFunc(batches, func(b Batch) bool { return b.Seq == e.Seq && b.Device == e.Device })
		if i < 0 {
			t.Fatalf("no batch %d of %s", e.Seq, e.Device)
		}
		b := batches[i]
		if b.At != e.At.UnixMilli() || len(b.Readings) != len(e.Readings) || m.Run != e.Run {
			t.Fatalf("batch %d at %d with %d readings, want %d with %d", b.Seq, b.At, len(b.Readings), e.At.UnixMilli(),
				len(e.Readings))
		}
		for _, want := range e.Readings {
			j := slices.IndexFunc(b.Readings, func(r Reading) bool { return r.Point == want.Point })
			if j < 0 || !same(b.Readings[j], want) {
				t.Fatalf("%s of batch %d: got %+v, want %v (%v)", want.Point, b.Seq, b.Readings, want.Value, want.Value.Kind())
			}
		}
	}
	return m
}

// style is one of the ways in which messages are made.
type style struct{ names, blocks bool }

var styles = []style{{}, {names: true}, {blocks: true}, {names: true, blocks: true}}

// packer returns a packer and the book that it is to use.
func (s style) packer(b *Book) (*Packer, *Book) {
	if s.names {
		b = nil
	}
	return &Packer{Blocks: s.blocks}, b
}

const most = 128 << 10

func pack(t testing.TB, p *Packer, book *Book, entries []bridge.Entry, limit int) ([]byte, int) {
	t.Helper()
	h := Head{Gateway: "press-line-2", Labels: []Label{{"area", "hall-2"}, {"site", "brno"}}}
	return packAfter(p, h, book, entries, limit)
}

// packAfter packs as many entries as fit.
func packAfter(p *Packer, h Head, book *Book, entries []bridge.Entry, limit int) ([]byte, int) {
	if !p.Begin(h.Append(nil), book, &entries[0], limit, most) {
		return nil, 0
	}
	n := 1
	for n < len(entries) && p.Add(&entries[n]) {
		n++
	}
	return p.Append(nil), n
}

// number gives numbers to what entries have, as a gateway does over time.
func number(book *Book, entries []bridge.Entry) *Book {
	for _, e := range entries {
		var points []Point
		var neighbours []string
		for _, r := range e.Readings {
			switch {
			case book.Numbered(e.Device, r.Point):
				neighbours = append(neighbours, r.Point)
			case r.Value.Good():
				points = append(points, PointFor(r.Point, r.Value, Hint{Places: -1}))
			}
		}
		if len(points) > 0 {
			book, _ = book.Add(e.Device, points, neighbours)
		}
	}
	return book
}

// Each value comes back: in the list that it chose, and in that of any other.
func TestEveryValue(t *testing.T) {
	values := everyValue()
	for _, style := range styles {
		for _, first := range values[:60] { // of the reasons some
			book := number(nil, []bridge.Entry{entry(1, "d", reading("p", first), reading("q", bridge.Uint(7)))})
			for _, numbers := range []*Book{nil, book} {
				entries := []bridge.Entry{}
				for i, v := range values[:60] {
					entries = append(entries, entry(uint64(i+1), "d", reading("p", v), reading("q", bridge.Uint(8))))
				}
				p, numbers := style.packer(numbers)
				message, n := pack(t, p, numbers, entries, most)
				if n != len(entries) {
					t.Fatalf("%d of %d", n, len(entries))
				}
				check(t, message, numbers, entries)
			}
		}
		var entries []bridge.Entry
		for i, v := range values {
			entries = append(entries, entry(uint64(i+1), "d", reading("p", v)))
		}
		p, _ := style.packer(nil)
		message, n := pack(t, p, nil, entries, most)
		if n != len(entries) {
			t.Fatalf("%d of %d", n, len(entries))
		}
		check(t, message, nil, entries)
	}
}

// randomEntries makes batches of a few devices with changing points.
func randomEntries(r *rand.Rand, n int) []bridge.Entry {
	var all []bridge.Entry
	now := noon
	values := everyValue()
	for i := range n {
		e := entry(uint64(i+1), fmt.Sprint("device-", r.IntN(4)))
		now = now.Add(time.Duration(r.IntN(2000)-100) * time.Millisecond)
		e.At = now
		offset := 0
		if r.IntN(3) == 0 {
			offset = r.IntN(12)
		}
		for p := range 1 + r.IntN(12) {
			var v bridge.Value
			switch k := offset + p; {
			case r.IntN(10) == 0:
				v = values[r.IntN(len(values))]
			case k%5 == 0:
				v = bridge.Bool(r.IntN(2) == 0)
			case k%5 == 1:
				v = bridge.Float64(float64(r.IntN(100000)) / 10)
			case k%5 == 2:
				v = bridge.Float32(r.Float32())
			case k%5 == 3:
				v = bridge.String([]string{"run", "stop", ""}[r.IntN(3)])
			default:
				v = bridge.Uint(uint64(r.IntN(65536)))
			}
			e.Readings = append(e.Readings, reading(fmt.Sprint("p", offset+p), v))
		}
		if r.IntN(2) == 0 {
			r.Shuffle(len(e.Readings), func(i, j int) { e.Readings[i], e.Readings[j] = e.Readings[j], e.Readings[i] })
		}
		all = append(all, e)
	}
	return all
}

// Random batches are packed until none is left: each message is within its limit, says
// what was packed, and is as full as can be.
func TestKeepsEverything(t *testing.T) {
	for seed := range uint64(8) {
		for _, style := range styles {
			r := rand.New(rand.NewPCG(seed, 7))
			limit := 1024 + r.IntN(8000)
			entries := randomEntries(r, 200)
			p, book := style.packer(number(nil, entries[:r.IntN(len(entries))]))
			for len(entries) > 0 {
				message, n := pack(t, p, book, entries, limit)
				if n == 0 || len(message) > limit && n > 1 {
					t.Fatalf("seed %d, %+v: %d batches in %d bytes, limit %d", seed, style, n, len(message), limit)
				}
				check(t, message, book, entries[:n])
				if n < len(entries) {
					// One more would not have fitted; sizes are reckoned with all headers at their longest.
					const slack = 200
					if more, _ := pack(t, p, book, entries[:n+1], math.MaxInt32); len(more) < limit-slack {
						t.Fatalf("seed %d, %+v: %d batches, but %d take %d of %d bytes", seed, style, n, n+1, len(more), limit)
					}
				}
				entries = entries[n:]
			}
		}
	}
}

// A number is given once: whatever is added, what had one keeps it.
func TestNumbersNeverMove(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var book *Book
	type key struct{ device, point string }
	type where struct {
		sheet uint32
		n     int
		place int
		kind  Kind
	}
	given := make(map[key]where)
	taken := make(map[[2]int]key)
	hashes := make(map[uint32]bool)
	for range 300 {
		before := book.Hash()
		book = number(book, randomEntries(r, 2))
		if book.Hash() != before && hashes[book.Hash()] {
			t.Fatal("two books have one hash")
		}
		hashes[book.Hash()] = true
		for n := range book.Len() {
			s := book.Sheet(uint32(n + 1))
			for i, p := range s.Points {
				k, w := key{s.Device, p.Name}, where{s.Number, i + 1, s.Place(i + 1), p.Kind}
				if old, ok := given[k]; ok && old != w {
					t.Fatalf("%v was %v, is %v", k, old, w)
				}
				if old, ok := taken[[2]int{int(s.Number), i + 1}]; ok && old != k {
					t.Fatalf("%v had the number of %v", old, k)
				}
				given[k], taken[[2]int{int(s.Number), i + 1}] = w, k
			}
		}
	}
	var sheets []*Sheet
	for n := range book.Len() {
		s, err := ReadSheet(book.Sheet(uint32(n + 1)).Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		sheets = append(sheets, s)
	}
	if again := NewBook(sheets); again.Hash() != book.Hash() || again.Len() != book.Len() {
		t.Errorf("read again it has %d sheets and the hash %x, not %d and %x", again.Len(), again.Hash(), book.Len(),
			book.Hash())
	}
}

// A reader without the sheet, or with one of before a point was added, is told so.
func TestUnknown(t *testing.T) {
	one := []bridge.Entry{entry(1, "d", reading("p", bridge.Uint(1)))}
	two := []bridge.Entry{entry(2, "d", reading("p", bridge.Uint(1)), reading("q", bridge.Uint(2)))}
	old := number(nil, one)
	book := number(old, two)
	for _, style := range []style{{}, {blocks: true}} {
		p, _ := style.packer(nil)
		message, _ := pack(t, p, book, two, most)
		m, err := Read(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []func(uint32) *Sheet{nil, new(Book).Sheet, old.Sheet} {
			_, err := m.Batches(known)
			if u, ok := err.(*Unknown); !ok || u.Sheet != 1 || u.Gateway != "press-line-2" {
				t.Errorf("%+v: %v", style, err)
			}
		}
		if m.Book != book.Hash() || m.Book == old.Hash() || !slices.Equal(m.Used(), []uint32{1}) {
			t.Errorf("book %x, sheets %d", m.Book, m.Used())
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add(uint64(1), uint16(5000), uint8(30), uint8(0))
	f.Add(uint64(99), uint16(1024), uint8(200), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, limit uint16, count, style uint8) {
		r := rand.New(rand.NewPCG(seed, 3))
		entries := randomEntries(r, int(count)+1)
		p, book := styles[style%4].packer(number(nil, entries[:r.IntN(len(entries))]))
		limit = max(limit, 1024)
		message, n := pack(t, p, book, entries, int(limit))
		if n == 0 || len(message) > int(limit) && n > 1 {
			t.Fatalf("%d batches in %d bytes, limit %d", n, len(message), limit)
		}
		check(t, message, book, entries[:n])
	})
}

// Whatever comes, reading ends, with an error or with batches.
func FuzzRead(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 3))
	for _, style := range styles {
		entries := randomEntries(r, 10)
		p, book := style.packer(number(nil, entries[:5]))
		h := Head{Gateway: "g"}
		message, _ := packAfter(p, h, book, entries, 4000)
		f.Add(message)
	}
	book := number(nil, randomEntries(r, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(b)
		if err != nil {
			return
		}
		m.Used()
		batches, err := m.Batches(book.Sheet)
		if err != nil {
			return
		}
		n := 0
		for _, b := range batches {
			n += len(b.Readings)
		}
		if n > mostReadings {
			t.Fatalf("%d readings of %d bytes", n, len(b))
		}
	})
}

// What Fit says fits does, in the smallest message that may be configured and in large
// ones, and parts are of one length.
func TestFit(t *testing.T) {
	h := Head{Gateway: "press-line-2"}
	head := len(h.Append(nil)) + 40
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		entries := randomEntries(r, 30)
		e := entry(maxExact/2, "device-1")
		for i, one := range entries[:1+r.IntN(29)] {
			for _, reading := range one.Readings {
				reading.Point = fmt.Sprint(reading.Point, "_", i)
				e.Readings = append(e.Readings, reading)
			}
		}
		for _, style := range styles {
			p, book := style.packer(number(nil, []bridge.Entry{entries[0], e}[:r.IntN(3)]))
			space := 600 + r.IntN(4000)
			for rest := e; len(rest.Readings) > 0; {
				n, size, unknown := Fit(book, &rest.Batch, space, style.blocks)
				if n < 1 || n > len(rest.Readings) || size <= 0 {
					t.Fatalf("seed %d: %d readings, %d bytes", seed, n, size)
				}
				if all := slices.ContainsFunc(rest.Readings, func(r bridge.Reading) bool {
					return r.Value.Good() && !book.Numbered(rest.Device, r.Point)
				}); unknown != all {
					t.Fatalf("seed %d: some have no number: %v, said is %v", seed, all, unknown)
				}
				part := rest
				part.Readings, rest.Readings = rest.Readings[:n], rest.Readings[n:]
				message, packed := packAfter(p, h, book, []bridge.Entry{part}, space+head)
				if packed != 1 || len(message) > space+head && n > 1 {
					t.Fatalf("seed %d, %+v: %d of %d readings take %d bytes of %d", seed, style, n, len(e.Readings),
						len(message)-head, space)
				}
				check(t, message, book, []bridge.Entry{part})
			}
		}
	}
}
