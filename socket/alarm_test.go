package socket

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// clocks are alarms of the kernel's timer, where there is one, and of Go's.
func clocks(t *testing.T) map[string]*Alarms {
	all := map[string]*Alarms{"Go's": nil}
	if a := NewAlarms(); a != nil {
		t.Cleanup(func() { _ = a.Close() })
		all["the kernel's"] = a
	}
	return all
}

// TestAlarm: it rings when it is time, once for each time that it is set, and what it was
// set to before is forgotten.
func TestAlarm(t *testing.T) {
	for name, clock := range clocks(t) {
		t.Run(name, func(t *testing.T) {
			a := clock.New()
			begin := time.Now()
			a.Reset(time.Hour)
			a.Reset(20 * time.Millisecond)
			<-a.C
			if took := time.Since(begin); took < 20*time.Millisecond {
				t.Errorf("it rang after %v", took)
			}
			a.Reset(-time.Second) // as one that is late already
			<-a.C
			a.Reset(0)
			<-a.C
			silent := func(why string) {
				other := clock.New()
				other.Reset(20 * time.Millisecond)
				<-other.C // the clock has gone beyond it
				select {
				case <-a.C:
					t.Errorf("%s: it rings", why)
				default:
				}
			}
			a.Reset(time.Millisecond)
			a.Stop()
			silent("stopped")
			a.Reset(0)
			a.Reset(time.Hour)
			silent("set anew, to much later")
			a.Stop()
			a.Stop()
			silent("stopped twice")
		})
	}
}

// TestAlarms: each of many that are set all the time rings no earlier than it shall, and
// none is forgotten.
func TestAlarms(t *testing.T) {
	for name, clock := range clocks(t) {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					a := clock.New()
					defer a.Stop()
					for range 20 {
						a.Reset(time.Duration(rand.Int64N(int64(time.Second))))
						d := time.Duration(rand.Int64N(int64(3 * time.Millisecond)))
						begin := time.Now()
						a.Reset(d)
						if <-a.C; time.Since(begin) < d {
							t.Errorf("it rang after %v, not %v", time.Since(begin), d)
						}
					}
				})
			}
			all.Wait()
		})
	}
}
