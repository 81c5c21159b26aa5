package pause

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// byHand returns a clock whose kernel is the test's: it rings after what it was set to.
func byHand() (c *clock, sets *int) {
	c, sets = new(clock), new(int)
	var t *time.Timer
	c.arm = func(d time.Duration) {
		*sets++
		if t != nil {
			t.Stop()
		}
		t = time.AfterFunc(d, c.ring)
	}
	return c, sets
}

// with has the timers of a test be those of c.
func with(t *testing.T, c *clock) {
	kernel.Store(c)
	t.Cleanup(func() { kernel.Store(nil) })
}

// said returns when a channel received since start, or -1 for not yet.
func said(c <-chan time.Time, start time.Time) time.Duration {
	synctest.Wait()
	select {
	case at := <-c:
		return at.Sub(start)
	default:
		return -1
	}
}

func TestTimer(t *testing.T) {
	for _, kind := range []string{"Go's", "the kernel's"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if kind != "Go's" {
					c, _ := byHand()
					with(t, c)
				}
				start := time.Now()
				first, second, never := NewTimer(3*time.Second), NewTimer(time.Second), NewTimer(2*time.Second)
				done := make(chan time.Duration, 2)
				AfterFunc(4*time.Second, func() { done <- time.Since(start) })
				stop := AfterFunc(2*time.Second, func() { done <- 0 })
				if !stop() || stop() {
					t.Error("a function that was stopped says otherwise")
				}
				never.Stop()
				if got := said(second.C, start); got >= 0 {
					t.Errorf("a timer of 1s is over after %v", got)
				}
				time.Sleep(5 * time.Second)
				if a, b, c := said(first.C, start), said(second.C, start), said(never.C, start); a != 3*time.Second ||
					b != time.Second || c >= 0 {
					t.Errorf("timers of 3s, 1s and a stopped one are over after %v, %v and %v", a, b, c)
				}
				if got := <-done; got != 4*time.Second || len(done) > 0 {
					t.Errorf("a function of 4s is called after %v, %d more", got, len(done))
				}
				// What a timer had to say is forgotten when it is set anew.
				again := NewTimer(0)
				synctest.Wait()
				again.Reset(time.Second)
				if got := said(again.C, start); got >= 0 {
					t.Errorf("a timer that was set anew has spoken at %v", got)
				}
				time.Sleep(2 * time.Second)
				if got := said(again.C, start); got != 6*time.Second {
					t.Errorf("set anew for 6s, it is over after %v", got)
				}
			})
		})
	}
}

// TestManyTimers: each of many is over in its time, whatever the order in which they
// were set, and the kernel is asked for none that others come before.
func TestManyTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sets := byHand()
		with(t, c)
		start := time.Now()
		var all []*Timer
		for i := range 100 {
			all = append(all, NewTimer(time.Duration(1+i*37%100)*time.Millisecond))
		}
		for i := 0; i < 100; i += 2 {
			all[i].Stop()
		}
		time.Sleep(time.Second)
		var over []int
		for i, timer := range all {
			if got := said(timer.C, start); got >= 0 {
				over = append(over, i)
				if want := time.Duration(1+i*37%100) * time.Millisecond; got != want {
					t.Errorf("timer %d is over after %v, want %v", i, got, want)
				}
			}
		}
		if len(over) != 50 || slices.ContainsFunc(over, func(i int) bool { return i%2 == 0 }) {
			t.Errorf("these are over: %v", over)
		}
		*sets = 0
		for range 10 {
			NewTimer(time.Minute)
		}
		if *sets != 1 {
			t.Errorf("ten timers of one moment set the kernel's %d times", *sets)
		}
	})
}

// TestLooks: a look comes along with what wakes the process anyway, and is at most half
// as late again where nothing does.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := byHand()
		with(t, c)
		start := time.Now()
		look := NewLook(2 * time.Second)
		poll := NewTimer(300 * time.Millisecond)
		var at []time.Duration
		for len(at) < 3 {
			select {
			case now := <-look.C:
				at = append(at, now.Sub(start))
			case <-poll.C:
				poll.Reset(time.Second)
			}
		}
		if want := []time.Duration{2300 * time.Millisecond, 4300 * time.Millisecond,
			6300 * time.Millisecond}; !slices.Equal(at, want) {
			t.Errorf("looks at %v, want %v", at, want)
		}
		poll.Stop()
		if now := <-look.C; now.Sub(start) != 9300*time.Millisecond {
			t.Errorf("with nothing else to wake, the look comes at %v", now.Sub(start))
		}
		look.Stop()
		time.Sleep(time.Minute)
		if got := said(look.C, start); got >= 0 {
			t.Errorf("a look that was stopped comes at %v", got)
		}
	})
}

// TestKernel: the kernel's own timer, and back to Go's.
func TestKernel(t *testing.T) {
	end, err := Kernel()
	if err != nil {
		if runtime.GOOS == "linux" {
			t.Fatal(err)
		}
		t.Skip("not on this system")
	}
	start := time.Now()
	long, short, none := NewTimer(30*time.Millisecond), NewTimer(10*time.Millisecond), NewTimer(0)
	done := make(chan struct{})
	AfterFunc(20*time.Millisecond, func() { close(done) })
	<-none.C
	<-short.C
	if d := time.Since(start); d < 10*time.Millisecond {
		t.Errorf("10ms are over after %v", d)
	}
	<-done
	<-long.C
	if d := time.Since(start); d < 30*time.Millisecond {
		t.Errorf("30ms are over after %v", d)
	}
	end()
	if timer := NewTimer(time.Hour); timer.std == nil {
		t.Error("after the end timers are still the kernel's")
	}
}
