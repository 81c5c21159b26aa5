package gateway

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFreshHeldUp: readings that come all the time and go in time are not held up, however
// many wait at each moment; those that stay are, and are not when they go again.
func TestFreshHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came, waiting uint64
		delay := 0 // of readings, in steps
		f := fresh{may: func() time.Duration { return 2 * time.Second },
			look: func() (uint64, uint64) { return waiting, came }}
		held := func(long time.Duration) (n int) { // how often, of 100 ms each, with 7 readings in each
			for end := time.Now().Add(long); time.Now().Before(end); {
				time.Sleep(100 * time.Millisecond)
				came += 7
				waiting = min(waiting+7, uint64(7*delay))
				if f.holdUp() {
					n++
				}
			}
			return n
		}
		for _, test := range []struct {
			delay, least, most int
		}{
			{0, 0, 0}, {10, 0, 0}, {19, 0, 0}, // all go within 2 s
			{40, 60, 100}, // they take 4 s
			{12, 0, 5},    // and 1.2 s again
		} {
			delay = test.delay
			if n := held(10 * time.Second); n < test.least || n > test.most {
				t.Errorf("readings that take %d00 ms are held up in %d of 100 looks", test.delay, n)
			}
		}
		if len(f.past) > 25 {
			t.Errorf("%d looks are kept", len(f.past))
		}
		time.Sleep(time.Hour) // nobody asked
		if waiting = 0; f.holdUp() {
			t.Error("nothing waits")
		}
		waiting = 10 // of none that came since
		time.Sleep(time.Second)
		f.holdUp()
		time.Sleep(2 * time.Second)
		if !f.holdUp() {
			t.Error("what has not moved is not held up")
		}
	})
}
