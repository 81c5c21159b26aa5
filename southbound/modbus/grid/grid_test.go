package grid

import (
	"testing"
	"time"
)

// TestGridAndClockSteps drives a grid with a wall clock that is set while it
// runs: polls must neither be skipped nor doubled, and come back to the grid.
func TestGridAndClockSteps(t *testing.T) {
	g := Grid{Every: time.Second, Phase: 300 * time.Millisecond}
	for _, step := range []time.Duration{0, time.Millisecond, 400 * time.Millisecond, -400 * time.Millisecond,
		500 * time.Millisecond, time.Hour + 123*time.Millisecond, -24*time.Hour - 777*time.Millisecond} {
		mono := time.Now() // its monotonic reading stays, its wall reading is stepped by hand
		wall := time.Duration(0)
		at := g.First(withWall(mono, wall))
		for i := range 30 {
			if i == 10 {
				wall += step
			}
			now := at.Add(time.Millisecond) // the poll takes place
			next, skipped := g.Next(at, withWall(now, wall))
			if skipped != 0 {
				t.Errorf("step %v, poll %d: %d skipped", step, i, skipped)
			}
			if gap := next.Sub(at); gap < 900*time.Millisecond || gap > 1100*time.Millisecond {
				t.Errorf("step %v, poll %d: %v after the one before", step, i, gap)
			}
			at = next
		}
		if off := time.Duration(at.UnixNano()+int64(wall)) % time.Second; off != 300*time.Millisecond {
			t.Errorf("step %v: at last %v of the second, want 300ms", step, off)
		}
	}
}

// withWall returns t as the clock would read it had it been set by step: the
// monotonic part stays.
func withWall(t time.Time, step time.Duration) Instant { return Instant{t, t.UnixNano() + int64(step)} }

func TestGridSkipsWhatIsOver(t *testing.T) {
	g := Grid{Every: time.Second}
	last := g.First(withWall(time.Now(), 0))
	at, skipped := g.Next(last, withWall(last.Add(3500*time.Millisecond), 0))
	if skipped != 3 || at.Sub(last) != 4*time.Second {
		t.Errorf("%d skipped, next %v later, want 3 and 4s", skipped, at.Sub(last))
	}
}

func TestPhasesSpread(t *testing.T) {
	const n = 1000
	var slots [10]int
	for i := range n {
		name := "device-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		p := Phase(name, time.Second, time.Second, 0)
		slots[p/(100*time.Millisecond)]++
		long := Phase(name, time.Second, time.Minute, 0)
		if long%time.Second != p || long >= time.Minute {
			t.Fatalf("phase %v at 1s, %v at 1m: they never meet", p, long)
		}
	}
	for i, got := range slots {
		if got < n/10/2 || got > n/10*2 {
			t.Errorf("%d of %d devices in tenth %d of the second", got, n, i)
		}
	}
}

// TestPhasesShared: devices that share instants are polled at two or four, none of them
// more than two tenths, or one, of the interval from its own phase, the turn of the
// interval counted.
func TestPhasesShared(t *testing.T) {
	for instants, tenths := range map[int]time.Duration{2: 2, 4: 1} {
		testPhasesShared(t, instants, tenths)
	}
}

func testPhasesShared(t *testing.T, instants int, tenths time.Duration) {
	const n = 1000
	for _, every := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 7 * time.Second} {
		phases := map[time.Duration]int{}
		for i := range n {
			name := string(rune('a' + i))
			p := Phase(name, every, every, instants)
			phases[p]++
			off := (p - Phase(name, every, every, 0)).Abs()
			if min(off, every-off) > tenths*every/10 {
				t.Fatalf("%s is %v from its own phase at %v", name, off, every)
			}
		}
		if len(phases) != instants {
			t.Errorf("at %v %d devices wake the gateway %d times, want %d: %v", every, n, len(phases), instants, phases)
		}
		for p, devices := range phases {
			if devices > n*4/10 && devices > n/instants*11/10 {
				t.Errorf("at %v %d of %d devices are polled at %v", every, devices, n, p)
			}
		}
	}
}
