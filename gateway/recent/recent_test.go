package recent

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

func see(r *Readings, device, point string, v bridge.Value) {
	r.See(&bridge.Batch{Device: device, At: time.Now(), Readings: []bridge.Reading{{Point: point, Value: v}}})
}

// What is not there is nothing; a bad reading leaves the last good one beside it.
func TestLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(1 << 20)
		if got := r.Device("a"); got != nil {
			t.Errorf("before: %v", got)
		}
		see(r, "a", "x", bridge.Bad(bridge.ReasonTimeout))
		if p := r.Device("a")[0]; p.Value.Good() || !p.GoodAt.IsZero() {
			t.Errorf("never good: %+v", p)
		}
		see(r, "a", "x", bridge.Int(7))
		good := time.Now()
		time.Sleep(time.Minute)
		see(r, "a", "x", bridge.Bad(bridge.ReasonTimeout))
		p := r.Device("a")[0]
		if p.Value.Reason() != bridge.ReasonTimeout || p.Good.String() != "7" || !p.GoodAt.Equal(good) ||
			!p.At.Equal(time.Now()) {
			t.Errorf("bad: %+v", p)
		}
	})
}

// The course has the lowest and highest value of each step, gaps where none came, and no more than an hour.
func TestCourse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(1 << 20)
		course := func() (text string) {
			for _, v := range r.Device("a")[0].Course {
				switch {
				case math.IsNaN(float64(v[0])):
					text += "-"
				case v[0] == v[1]:
					text += fmt.Sprint(v[0])
				default:
					text += fmt.Sprint(v)
				}
			}
			return text
		}
		gap := func(n int) string { return strings.Repeat("-", n) }
		see(r, "a", "x", bridge.Int(1))
		see(r, "a", "x", bridge.Int(9))
		see(r, "a", "x", bridge.Int(2))
		time.Sleep(Step)
		see(r, "a", "x", bridge.Bool(true))
		time.Sleep(2 * Step)
		see(r, "a", "x", bridge.Float64(4))
		if diff := cmp.Diff(gap(Steps-4)+"[1 9]1-4", course()); diff != "" {
			t.Error(diff)
		}
		time.Sleep((Steps - 1) * Step)
		if diff := cmp.Diff("4"+gap(Steps-1), course()); diff != "" {
			t.Errorf("nearly an hour later: %s", diff)
		}
		time.Sleep(5 * Steps * Step)
		see(r, "a", "x", bridge.Int(5))
		if diff := cmp.Diff(gap(Steps-1)+"5", course()); diff != "" {
			t.Errorf("hours later: %s", diff)
		}
		see(r, "a", "text", bridge.String(strings.Repeat("ü", mostText)))
		if p := r.Device("a")[0]; p.Course != nil || len(p.Good.Str()) > mostText+3 {
			t.Errorf("text: %d bytes, course %v", len(p.Good.Str()), p.Course)
		}
	})
}

// Memory is bounded, and all of it comes back.
func TestBound(t *testing.T) {
	r := New(100_000)
	for i := range 1000 {
		see(r, fmt.Sprint("device", i%7), fmt.Sprint("point", i), bridge.String(strings.Repeat("x", i%50)))
		see(r, fmt.Sprint("device", i%7), fmt.Sprint("point", i), bridge.Int(3))
	}
	seen := map[string]float64{}
	r.Observe(func(m bridge.Metric) { seen[m.Name] = m.Value })
	if b := seen["fieldbridge_recent_bytes"]; b > 100_000 || b < 90_000 {
		t.Errorf("%v bytes", b)
	}
	if n := seen["fieldbridge_recent_points"]; n < 100 || seen["fieldbridge_recent_left_out_total"] == 0 {
		t.Errorf("%v", seen)
	}
	r.Keep([]bridge.DeviceInfo{{Device: "device3", Points: []bridge.PointInfo{{Name: "point3"}, {Name: "new"}}}})
	if p := r.Device("device3"); len(p) != 1 || p[0].Name != "point3" || r.Device("device4") != nil {
		t.Errorf("kept %v", p)
	}
	if r.Keep(nil); r.bytes.Load() != 0 || r.points.Load() != 0 {
		t.Errorf("forgotten, and still %d bytes of %d points", r.bytes.Load(), r.points.Load())
	}
}

type source struct{}

func (source) Run(_ context.Context, emit bridge.Emit) error {
	emit(bridge.Batch{Device: "d", Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}}, nil)
	return context.Canceled
}

func TestWatchedPassesOn(t *testing.T) {
	r, passed := New(1<<20), 0
	err := Watched{source{}, r}.Run(t.Context(), func(bridge.Batch, func(error)) { passed++ })
	if err != context.Canceled || passed != 1 || len(r.Device("d")) != 1 {
		t.Errorf("%v, %d passed on, %v kept", err, passed, r.Device("d"))
	}
}

// TestShared is for the race detector.
func TestShared(t *testing.T) {
	r := New(1 << 20)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 200 {
				see(r, fmt.Sprint(i%2), "p", bridge.Int(1))
				r.Device("1")
				r.Keep([]bridge.DeviceInfo{{Device: "0", Points: []bridge.PointInfo{{Name: "p"}}}})
			}
		})
	}
	all.Wait()
}

// What is known is noted without a byte from the heap: sensors come by thousands.
func TestNoAllocation(t *testing.T) {
	r := New(1 << 20)
	b := bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}}
	r.See(&b)
	if n := testing.AllocsPerRun(100, func() { r.See(&b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestOrder: points are found in any order, few and many, and after some are gone.
func TestOrder(t *testing.T) {
	for _, n := range []int{3, indexed - 1, indexed, 5 * indexed} {
		r := New(1 << 20)
		check := func(from int) {
			t.Helper()
			for _, step := range []int{1, n - 1, 7} {
				for i := range n {
					at := from + (i*step)%n
					see(r, "a", fmt.Sprint("p", at), bridge.Int(int64(at)))
				}
			}
			for _, p := range r.Device("a") {
				if p.Name != "p"+p.Value.String() {
					t.Fatalf("%d points: %s is %v", n, p.Name, p.Value)
				}
			}
		}
		check(0)
		var kept bridge.DeviceInfo
		kept.Device = "a"
		for i := range n / 2 {
			kept.Points = append(kept.Points, bridge.PointInfo{Name: fmt.Sprint("p", 2*i)})
		}
		r.Keep([]bridge.DeviceInfo{kept})
		if got := len(r.Device("a")); got != n/2 {
			t.Fatalf("%d of %d points kept", got, n/2)
		}
		check(0)
		check(n)
	}
}

// TestIndexIsGivenUp: a device whose batches come in one order has no index, one whose
// batches do not keeps it, and either way each point has its own value.
func TestIndexIsGivenUp(t *testing.T) {
	const n = 5 * indexed
	batch := func(from, to, value int) *bridge.Batch {
		b := &bridge.Batch{Device: "a", At: time.Unix(1, 0)}
		for i := from; i < to; i++ {
			b.Readings = append(b.Readings, bridge.Reading{Point: fmt.Sprint("p", i), Value: bridge.Int(int64(value + i))})
		}
		return b
	}
	for _, c := range []struct {
		what string
		ends []int // of the batches of a cycle; the first begins at 0
		want bool
	}{
		{"one batch", []int{n}, false}, {"two in turn", []int{n / 2, n}, false}, {"the first half alone", []int{n / 2}, true},
	} {
		r := New(1 << 20)
		r.See(batch(0, n, 0))
		if r.devices["a"].index == nil {
			t.Fatal("there is no index at first")
		}
		cycle := func(value int) {
			from := 0
			for _, to := range c.ends {
				r.See(batch(from, to, value))
				from = to
			}
		}
		for i := range 2 * settled {
			cycle(i)
		}
		if got := r.devices["a"].index != nil; got != c.want {
			t.Errorf("%s: an index: %v, want %v", c.what, got, c.want)
		}
		last := batch(0, n, 1000)
		slices.Reverse(last.Readings)
		r.See(last)
		see(r, "a", "new", bridge.Int(7))
		for _, p := range r.Device("a") {
			if n, err := strconv.Atoi(strings.TrimPrefix(p.Name, "p")); err == nil && p.Value.String() != strconv.Itoa(1000+n) {
				t.Fatalf("%s: %s is %v", c.what, p.Name, p.Value)
			}
		}
	}
}

// TestCoursesAreBounded: beyond their share points have values and no course.
func TestCoursesAreBounded(t *testing.T) {
	r := New(64 << 20)
	const points = 2 * mostCourses / costCourse
	for i := range points {
		see(r, fmt.Sprint(i/1000), fmt.Sprint(i), bridge.Int(1))
	}
	with := 0
	for i := range points/1000 + 1 {
		for _, p := range r.Device(fmt.Sprint(i)) {
			if p.Course != nil {
				with++
			}
			if !p.Value.Good() {
				t.Fatalf("%+v", p)
			}
		}
	}
	if want := mostCourses / costCourse; with != want {
		t.Errorf("%d of %d points have a course, want %d", with, points, want)
	}
}

// BenchmarkSee is a cycle of a device of 1,000 points.
func BenchmarkSee(b *testing.B) {
	r := New(64 << 20)
	batch := bridge.Batch{Device: "d", At: time.Now()}
	for i := range 1000 {
		batch.Readings = append(batch.Readings, bridge.Reading{Point: fmt.Sprint("point-", i), Value: bridge.Int(int64(i))})
	}
	b.ReportAllocs()
	for b.Loop() {
		r.See(&batch)
	}
}

// TestShed: where memory is short the last hour goes and nothing new comes; the newest
// readings stay and go on.
func TestShed(t *testing.T) {
	r := New(1 << 20)
	for i := range 50 {
		see(r, "a", fmt.Sprint("p", i), bridge.Int(int64(i)))
	}
	before := r.bytes.Load()
	if gave := r.Shed(); gave != 50*costCourse || r.bytes.Load() != before-gave || r.courses.Load() != 0 ||
		r.Shed() != 0 {
		t.Errorf("it gave %d of %d bytes, %d are left", gave, before, r.bytes.Load())
	}
	see(r, "a", "p7", bridge.Int(70))
	see(r, "a", "new", bridge.Int(1))
	see(r, "b", "new", bridge.Int(1))
	points := r.Device("a")
	if len(points) != 50 || r.Device("b") != nil || r.leftOut.Load() != 2 {
		t.Errorf("%d points, %v, %d left out", len(points), r.Device("b"), r.leftOut.Load())
	}
	for _, p := range points {
		if p.Course != nil || p.Name == "p7" && p.Value.String() != "70" {
			t.Errorf("%+v", p)
		}
	}
	r.Regain()
	see(r, "a", "p7", bridge.Int(71))
	see(r, "b", "new", bridge.Int(1))
	p := r.Device("b")
	if len(p) != 1 || p[0].Course == nil || r.courses.Load() != 2*costCourse {
		t.Errorf("afterwards: %+v, %d bytes of courses", p, r.courses.Load())
	}
}
