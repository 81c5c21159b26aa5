package store

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
	"fieldbridge/store/terms"
)

// vNames are the points that may be thinned.
var vNames = func() (names []string) {
	for i := range 20 {
		names = append(names, fmt.Sprint("v", i))
	}
	return names
}()

// thinRules let points whose names begin with v be thinned, of all devices.
type thinRules struct{ to []time.Duration }

func (r thinRules) Levels() int { return len(r.to) }

func (r thinRules) Thins(string) map[string]*bridge.Thin {
	rules := make(map[string]*bridge.Thin)
	for _, name := range vNames {
		rules[name] = &bridge.Thin{To: r.to, Keep: bridge.Statistics}
	}
	return rules
}

var minuteAndHour = thinRules{[]time.Duration{time.Minute, time.Hour}}

var thinStart = time.UnixMilli(1763888400000).UTC()

// second returns the batch of a second of a device: 20 points with its number, so that
// what is missing or there twice shows in their sum, and one that is never thinned.
func second(i int) bridge.Batch {
	var b bridge.Batch
	b.Device, b.At = secondOf(i)
	for j := range 20 {
		x := uint64(i*20+j+1) * 0x9e3779b97f4a7c15
		x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
		b.Readings = append(b.Readings, bridge.Reading{Point: vNames[j], Value: bridge.Uint(uint64(i) | x>>40<<32)})
	}
	if i%100 < 2 {
		b.Readings = append(b.Readings, bridge.Reading{Point: "kept", Value: bridge.Int(int64(i))})
	}
	return b
}

// secondOf returns the device of batch i and when it is read.
func secondOf(i int) (device string, at time.Time) {
	return []string{"a", "b"}[i%2], thinStart.Add(time.Duration(i/2) * time.Second)
}

// shape is what must be the same, thinned or not: of point v7 of the devices.
type shape struct {
	n, kept  uint64
	sum      float64 // of the numbers of batches
	from, to int64
}

// shapeOf adds up what batches say, and checks that each device's come in order.
func shapeOf(t testing.TB, entries []bridge.Entry) map[string]shape {
	t.Helper()
	all := map[string]shape{}
	latest := map[string]int64{}
	for _, e := range entries {
		s, known := all[e.Device]
		if !known {
			s.from = math.MaxInt64
		}
		at := e.At.UnixMilli()
		part := map[string]bridge.Value{}
		for _, r := range e.Readings {
			if rest, ok := strings.CutPrefix(r.Point, "v7"); ok {
				part[rest] = r.Value
			} else if r.Point == "kept" {
				s.kept++
			}
		}
		n, from, to := uint64(0), at, at
		if v, ok := part[bridge.ThinCount]; ok {
			n, from, to = v.Bits(), int64(part[bridge.ThinFirst].Bits()), int64(part[bridge.ThinLast].Bits())
			low, _ := part["_min"].Float()
			mean, _ := part["_mean"].Float()
			high, _ := part["_max"].Float()
			if low > mean || mean > high || from > to || part["_last"].Kind() != bridge.KindUint {
				t.Fatalf("an aggregate makes no sense: %v", part)
			}
			first, last := from-thinStart.UnixMilli(), to-thinStart.UnixMilli()
			s.sum += float64(first+last) / 2 * float64(n) // a second after the other
		}
		if v, ok := part[""]; ok {
			if n > 0 {
				t.Fatalf("both, detail and aggregate: %v", e.Readings)
			}
			n = 1
			s.sum += float64((v.Bits() & 0xffffffff) / 2 * 1000)
		}
		if n == 0 {
			all[e.Device] = s
			continue
		}
		if from <= latest[e.Device] {
			t.Fatalf("%s: from %d comes after %d", e.Device, from, latest[e.Device])
		}
		latest[e.Device] = to
		s.n, s.from, s.to = s.n+n, min(s.from, from), to
		all[e.Device] = s
	}
	return all
}

// wantShape is that of the first n batches.
func wantShape(n int) map[string]shape {
	all := map[string]shape{}
	for i := range n {
		device, at := secondOf(i)
		s, known := all[device]
		if !known {
			s.from = at.UnixMilli()
		}
		s.n, s.to, s.sum = s.n+1, at.UnixMilli(), s.sum+float64(i/2*1000)
		if i%100 < 2 {
			s.kept++
		}
		all[device] = s
	}
	return all
}

func checkShape(t testing.TB, entries []bridge.Entry, n int) {
	t.Helper()
	got, want := shapeOf(t, entries), wantShape(n)
	for device := range want {
		if got[device] != want[device] {
			t.Errorf("%s: got %+v, want %+v", device, got[device], want[device])
		}
	}
}

// tinyThinQueue opens a queue that thins, of 1 MiB.
func tinyThinQueue(t testing.TB, dir string) *Queue {
	t.Helper()
	q := openQueue(t, tinyConfig(dir))
	q.ThinBy(minuteAndHour)
	return q
}

func tinyConfig(dir string) terms.Config {
	c := smallConfig(dir)
	c.MaxSize, c.SegmentSize = 1<<20, 96<<10
	c.MaxSize += setting.Size(disk.Size(filepath.Join(dir, "acks"))) // it has no holes after a simulated cut
	return c
}

func fillSeconds(t testing.TB, q *Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		q.Append(second(i), nil)
		if i%200 == 199 {
			commitNow(t, q)
			if size := dirSize(t, q.shelf.Dir); size > int64(q.cfg.Load().MaxSize) {
				t.Fatalf("after %d batches the folder takes %d bytes", i, size)
			}
			if l := q.Ledger(); !l.Balanced() {
				t.Fatalf("after %d batches the ledger is %+v", i, l)
			}
		}
	}
	commitNow(t, q)
}

// TestThinBeforeDrop: what would not fit becomes aggregates and nothing is dropped; what
// is delivered, and after a restart, has the shape of what was measured.
func TestThinBeforeDrop(t *testing.T) {
	dir := tempDir(t)
	q := tinyThinQueue(t, dir)
	const n = 12_000
	fillSeconds(t, q, 0, n)
	l := q.Ledger()
	if l.Dropped.Batches > 0 || l.Thinned.Readings == 0 || l.Waiting.Readings > n*20*3/4 || !l.Balanced() {
		t.Fatalf("ledger: %+v", l)
	}
	var told bridge.Count
	for _, s := range q.Tombstones() {
		if s.Cause != books.Thinned {
			t.Errorf("tombstone %+v", s)
		}
		told = told.Add(s.Count)
	}
	if told != l.Thinned {
		t.Errorf("the tombstones tell of %+v, the ledger of %+v", told, l.Thinned)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = tinyThinQueue(t, dir)
	if got := q.Ledger(); got.Restored != l.Waiting || got.Waiting != l.Waiting {
		t.Errorf("%+v is found again of %+v", got, l.Waiting)
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	checkShape(t, entries, n)
	if uint64(len(entries)) != l.Waiting.Batches || uint64(readingsOf(entries)) != l.Waiting.Readings {
		t.Errorf("%d batches with %d readings, the ledger says %+v", len(entries), readingsOf(entries), l.Waiting)
	}
	judge := audit{t: t}
	for _, e := range entries {
		judge.batch(e.Run, e.Seq, e.Batch)
	}
	judge.notices(q)
	judge.kept()
	ackAll(q, entries)
	commitNow(t, q)
	if s := q.Status(); s.Ledger.Waiting != (bridge.Count{}) || s.Segments > 1 || len(q.books.Done) > 3 {
		t.Errorf("after all is delivered: %+v, done %v", s, q.books.Done)
	}
}

func readingsOf(entries []bridge.Entry) (n int) {
	for i := range entries {
		n += len(entries[i].Readings)
	}
	return n
}

// TestThinOnlyWhenNear: nothing is thinned while there is room, nor without rules.
func TestThinOnlyWhenNear(t *testing.T) {
	for name, q := range map[string]*Queue{
		"room": tinyThinQueue(t, tempDir(t)), "off": openQueue(t, tinyConfig(tempDir(t)))} {
		n := 1500
		if name == "off" {
			n = 10_000
		}
		fillSeconds(t, q, 0, n)
		l := q.Ledger()
		if l.Thinned != (bridge.Count{}) || name == "off" && l.Dropped.Batches == 0 {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestThinHours: when minutes do not suffice the oldest become hours, before anything is
// dropped; what is dropped at last is the oldest.
func TestThinHours(t *testing.T) {
	q := tinyThinQueue(t, tempDir(t))
	hours := func() (n int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, s := range q.shelf.Segments {
			if s.Thinned == 2 {
				n++
			}
		}
		return n
	}
	i := 0
	for ; i < 100_000 && hours() == 0; i += 5_000 {
		fillSeconds(t, q, i, i+5_000)
	}
	if l := q.Ledger(); hours() == 0 || l.Dropped.Batches > 0 || l.Merged.Readings == 0 {
		t.Fatalf("after %d batches: %+v", i, l)
	}
	q.Online()
	checkShape(t, take(t, q, bridge.Backlog), i)
}

// TestThinWhileDelivered: what is being delivered is left alone, and what follows is
// thinned; nothing is lost or comes twice.
func TestThinWhileDelivered(t *testing.T) {
	q := tinyThinQueue(t, tempDir(t))
	fillSeconds(t, q, 0, 3_500)
	q.Online()
	var all []bridge.Entry
	for i := 3_500; i < 10_000; i += 100 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			entries, err := q.Next(ctx, bridge.Backlog, 15)
			if err != nil {
				break
			}
			all = append(all, entries...)
			ackAll(q, entries)
		}
		fillSeconds(t, q, i, i+100)
	}
	l := q.Ledger()
	if l.Thinned.Readings == 0 || l.Dropped.Batches > 0 || !l.Balanced() {
		t.Fatalf("ledger: %+v", l)
	}
	all = append(all, take(t, q, bridge.Backlog)...)
	all = append(all, take(t, q, bridge.Fresh)...)
	checkShape(t, all, 10_000)
}

// TestThinDropNewest: a queue that keeps the old thins, too, before it refuses what is new.
func TestThinDropNewest(t *testing.T) {
	c := tinyConfig(tempDir(t))
	c.WhenFull = terms.DropNewest
	q := openQueue(t, c)
	q.ThinBy(minuteAndHour)
	fillSeconds(t, q, 0, 10_000)
	if l := q.Ledger(); l.Thinned.Readings == 0 || l.Dropped.Batches > 0 {
		t.Errorf("ledger: %+v", l)
	}
}
