package thin

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
)

var noon = time.UnixMilli(1763888400000).UTC() // begins an hour

var all = []bridge.Statistic{bridge.Mean, bridge.Minimum, bridge.Maximum, bridge.Last}

// rules are those of a device "d", and the same for all others but "none".
type rules map[string]*bridge.Thin

func (r rules) Thins(device string) map[string]*bridge.Thin {
	if device == "none" {
		return nil
	}
	return r
}
func (rules) Levels() int { return 2 }

func minutes(keep ...bridge.Statistic) *bridge.Thin {
	return &bridge.Thin{To: []time.Duration{time.Minute, time.Hour}, Keep: keep}
}

func batch(p int, at time.Duration, readings ...bridge.Reading) bridge.Entry {
	return bridge.Entry{Run: "3k7q9x2m", Seq: uint64(p), Position: bridge.Position(p),
		Batch: bridge.Batch{Device: "d", At: noon.Add(at), Readings: readings}}
}

func is(point string, v bridge.Value) bridge.Reading { return bridge.Reading{Point: point, Value: v} }

// apply thins entries to a level, all of them if that is worth it.
func apply(r Rules, level int, entries []bridge.Entry) ([]bridge.Entry, Tally, bool) {
	t := New(r, level, 1000)
	for i := range entries {
		t.Look(&entries[i])
	}
	if !t.Decide() {
		return entries, t.Tally, false
	}
	var left []bridge.Entry
	for _, e := range entries {
		if e.Readings = t.Take(&e); len(e.Readings) > 0 {
			left = append(left, e)
		}
	}
	return left, t.Tally, true
}

func readings(entries []bridge.Entry) (n int) {
	for i := range entries {
		n += len(entries[i].Readings)
	}
	return n
}

func TestMinuteAndHour(t *testing.T) {
	var raw []bridge.Entry
	for s := range 2 * 3600 {
		raw = append(raw, batch(s+1, time.Duration(s)*time.Second, is("t", bridge.Uint(uint64(s%60))),
			is("other", bridge.Bool(true))))
	}
	r := rules{"t": minutes(all...)}
	one, tally, ok := apply(r, 1, raw)
	if !ok || tally.Thinned != (bridge.Count{Readings: 7200}) || tally.Made != 120*7 {
		t.Fatalf("thinned: %v, %+v", ok, tally)
	}
	if got := readings(one); got != 7200+120*7 {
		t.Errorf("%d readings are left, want those of other and 7 for each minute", got)
	}
	// The first minute comes with the first reading of the second.
	want := []bridge.Reading{is("t_n", bridge.Uint(60)), is("t_from", bridge.Int(noon.UnixMilli())),
		is("t_to", bridge.Int(noon.UnixMilli()+59000)), is("t_mean", bridge.Float64(29.5)), is("t_min", bridge.Uint(0)),
		is("t_max", bridge.Uint(59)), is("t_last", bridge.Uint(59)), is("other", bridge.Bool(true))}
	if diff := cmp.Diff(want, one[60].Readings, cmp.Comparer(func(a, b bridge.Value) bool { return a == b })); diff != "" {
		t.Errorf("the first minute (-want +got):\n%s", diff)
	}
	if last := one[len(one)-1]; last.Position != raw[len(raw)-1].Position {
		t.Errorf("the last batch is %d, want %d", last.Position, raw[len(raw)-1].Position)
	}
	two, tally, ok := apply(r, 2, one)
	if !ok || tally.Thinned != (bridge.Count{}) || tally.Merged != 120*7 || tally.Made != 2*7 {
		t.Fatalf("thinned once more: %v, %+v", ok, tally)
	}
	var hours []bridge.Reading
	for _, e := range two {
		for _, x := range e.Readings {
			if x.Point == "t_n" || x.Point == "t_mean" || x.Point == "t_from" {
				hours = append(hours, x)
			}
		}
	}
	for i, want := range []bridge.Value{bridge.Uint(3600), bridge.Int(noon.UnixMilli()), bridge.Float64(29.5),
		bridge.Uint(3600), bridge.Int(noon.UnixMilli() + 3600_000), bridge.Float64(29.5)} {
		if i >= len(hours) || hours[i].Value != want {
			t.Fatalf("the hours are %v", hours)
		}
	}
}

// TestKinds: text has a last value, a bool also whether it was ever true; what is bad stays.
func TestKinds(t *testing.T) {
	var raw []bridge.Entry
	for s := range 120 {
		e := batch(s+1, time.Duration(s)*time.Second, is("text", bridge.String(fmt.Sprint("s", s))),
			is("alarm", bridge.Bool(s == 30)), is("level", bridge.Int(int64(-s))))
		if s == 40 {
			e.Readings[2].Value = bridge.Bad(bridge.ReasonTimeout)
		}
		raw = append(raw, e)
	}
	r := rules{"text": minutes(all...), "alarm": minutes(all...), "level": minutes(bridge.Mean)}
	left, tally, _ := apply(r, 1, raw)
	if tally.Thinned.Readings != 359 || tally.Thinned.Batches != 117 || len(left) != 3 {
		t.Fatalf("%+v, %d are left", tally, len(left))
	}
	bad := is("level", bridge.Bad(bridge.ReasonTimeout))
	if b := left[0].Readings; left[0].Position != 41 || len(b) != 1 || b[0] != bad {
		t.Errorf("what was bad is %v", left[0])
	}
	var got []string
	for _, x := range left[1].Readings {
		got = append(got, x.Point+"="+x.Value.String())
	}
	at := func(s int) string { return fmt.Sprint(noon.UnixMilli() + int64(s)*1000) }
	want := []string{"text_n=60", "text_from=" + at(0), "text_to=" + at(59), "text_last=s59",
		"alarm_n=60", "alarm_from=" + at(0), "alarm_to=" + at(59), "alarm_min=false", "alarm_max=true", "alarm_last=false",
		"level_n=59", "level_from=" + at(0), "level_to=" + at(59), "level_mean=-29.322033898305083"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestLeftAlone: what would not get less, or would be called as another point, stays.
func TestLeftAlone(t *testing.T) {
	slow := func(name string) (raw []bridge.Entry) {
		for s := range 60 {
			raw = append(raw, batch(s+1, time.Duration(s)*20*time.Second, is("t", bridge.Int(1)), is(name, bridge.Int(2))))
		}
		return raw
	}
	r := rules{"t": minutes(all...)}
	if left, tally, ok := apply(r, 1, slow("x")); ok || tally != (Tally{}) || len(left) != 60 {
		t.Errorf("three readings a minute were thinned to seven: %+v", tally)
	}
	if _, _, ok := apply(r, 2, slow("x")); !ok {
		t.Error("180 readings an hour were not thinned")
	}
	for _, name := range []string{"t_n", "t_from", "t_max"} {
		if _, _, ok := apply(r, 2, slow(name)); ok {
			t.Errorf("thinned beside a point %s", name)
		}
	}
	for i, e := range slow("x") {
		e.Device = "none"
		th := New(r, 2, 10)
		th.Look(&e)
		if got := th.Take(&e); len(got) != 2 {
			t.Fatalf("batch %d of a device without rules has %v", i, got)
		}
	}
}

// TestTooLarge: the aggregates of a batch fit in a message.
func TestTooLarge(t *testing.T) {
	r := rules{}
	var raw []bridge.Entry
	for s := range 120 {
		e := batch(s+1, time.Duration(s)*time.Second)
		for i := range 2000 {
			name := fmt.Sprintf("register_%d", i)
			r[name] = minutes(all...)
			e.Readings = append(e.Readings, is(name, bridge.Uint(uint64(i))))
		}
		raw = append(raw, e)
	}
	th := New(r, 1, 1<<20)
	for i := range raw {
		th.Look(&raw[i])
	}
	if !th.Decide() {
		t.Fatal("nothing is thinned")
	}
	for i := range raw {
		bytes := 0
		for _, x := range th.Take(&raw[i]) {
			bytes += len(x.Point) + len(x.Value.String()) + len(`"":,`)
		}
		if bytes > 120<<10 {
			t.Fatalf("a batch of %d bytes", bytes)
		}
	}
}

// TestExact: whatever comes, the sum of n is what was replaced, times and extremes are
// right, and positions stay in order.
func TestExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	for round := range needtest.Soak(20) {
		entries, want := random(rng)
		r := rules{"a": minutes(all...), "b": minutes(bridge.Maximum), "c": minutes(bridge.Last, bridge.Mean)}
		before := uint64(readings(entries))
		for level := 1; level <= 2; level++ {
			left, tally, _ := apply(r, level, entries)
			if got := uint64(readings(left)); got != before-tally.Thinned.Readings-tally.Merged+tally.Made {
				t.Fatalf("round %d: %d readings are left of %d, %+v", round, got, before, tally)
			}
			if uint64(len(entries)-len(left)) != tally.Thinned.Batches {
				t.Fatalf("round %d: %d batches are left of %d, %+v", round, len(left), len(entries), tally)
			}
			entries, before = left, uint64(readings(left))
			if got := account(t, entries); !maps.Equal(got, want) {
				t.Fatalf("round %d, level %d: got %v, want %v", round, level, got, want)
			}
		}
	}
}

// told is what must outlast thinning, of a point of a device.
type told struct {
	n        uint64
	from, to int64
	high     float64
}

func random(rng *rand.Rand) ([]bridge.Entry, map[string]told) {
	var entries []bridge.Entry
	at := time.Duration(0)
	run := "3k7q9x2m"
	for p := range 3000 {
		at += time.Duration(rng.IntN(3000)) * time.Millisecond
		switch rng.IntN(400) {
		case 0:
			at -= time.Duration(rng.IntN(3600)) * time.Second // the clock was set
		case 1:
			at += time.Duration(rng.IntN(7200)) * time.Second
		case 2:
			run = []string{"3k7q9x2m", "aaaaaaaa", "bbbbbbbb"}[rng.IntN(3)]
		}
		e := batch(p+1, at)
		e.Run, e.Device, e.Unsynced = run, []string{"d", "e", "none"}[rng.IntN(3)], rng.IntN(200) == 0
		for _, point := range []string{"a", "b", "c", "free"} {
			if rng.IntN(10) > 1 {
				v := []bridge.Value{bridge.Float64(rng.Float64() * 100), bridge.Int(rng.Int64N(100)),
					bridge.Float32(rng.Float32())}[rng.IntN(3)]
				if rng.IntN(50) == 0 {
					v = bridge.Bad(bridge.ReasonTimeout)
				}
				e.Readings = append(e.Readings, is(point, v))
			}
		}
		if len(e.Readings) > 0 {
			entries = append(entries, e)
		}
	}
	return entries, account(nil, entries)
}

// account adds up what is told of points a and b: both keep the maximum.
func account(t *testing.T, entries []bridge.Entry) map[string]told {
	all := make(map[string]told)
	var before bridge.Position
	for _, e := range entries {
		if t != nil && e.Position <= before {
			t.Fatalf("batch %d after %d", e.Position, before)
		}
		before = e.Position
		for i := 0; i < len(e.Readings); {
			point, p := partOf(e.Readings[i:], e.At)
			i += p.width
			high := p.value
			if p.of != nil {
				high = p.of[2]
			}
			f, ok := high.Float()
			if !ok || point != "a" && point != "b" {
				continue
			}
			key := fmt.Sprint(e.Run, e.Device, e.Unsynced, point)
			x, known := all[key]
			if !known {
				x = told{from: math.MaxInt64, to: math.MinInt64, high: math.Inf(-1)}
			}
			all[key] = told{x.n + p.n, min(x.from, p.from), max(x.to, p.to), max(x.high, f)}
		}
	}
	return all
}

// FuzzAggregateOf: only what an aggregate looks like is taken for one, and nothing panics.
func FuzzAggregateOf(f *testing.F) {
	f.Add("t_n", "t_from", "t_to", "t_max", uint64(3), int64(5))
	f.Add("_n", "_from", "_to", "_", uint64(0), int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c, d string, n uint64, ms int64) {
		r := []bridge.Reading{is(a, bridge.Uint(n)), is(b, bridge.Int(ms)), is(c, bridge.Int(ms)), is(d, bridge.Int(1))}
		for i := range r {
			point, p := partOf(r[i:], noon)
			if p.width < 1 || p.width > len(r)-i || p.of != nil && (p.n == 0 || point+bridge.ThinCount != r[i].Point) {
				t.Fatalf("%v: %q, %+v", r[i:], point, p)
			}
		}
	})
}

func BenchmarkThin(b *testing.B) {
	var raw []bridge.Entry
	r := rules{}
	for s := range 600 {
		e := batch(s+1, time.Duration(s)*time.Second)
		for i := range 50 {
			name := fmt.Sprintf("register_%d", i)
			r[name] = minutes(all...)
			e.Readings = append(e.Readings, is(name, bridge.Uint(uint64(rng(i*s)))))
		}
		raw = append(raw, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := apply(r, 1, raw); !ok {
			b.Fatal("not worth it")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*600*50), "ns/reading")
}

func rng(i int) int { return int(uint32(i) * 2654435761 & 0xffff) }
