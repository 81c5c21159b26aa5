package awsiot

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

var testBackoff = Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute), Gateways: 1}

func TestBackoffGrowsAndRemembers(t *testing.T) {
	now := time.Now()
	largest := func(attempt int) time.Duration {
		longest := time.Duration(0)
		for range 2000 {
			b := backoff{attempt: attempt, last: now}
			d := b.next(testBackoff, now)
			if d < connectPause {
				t.Fatalf("attempt %d waits only %v", attempt, d)
			}
			longest = max(longest, d)
		}
		return longest
	}
	for attempt, limit := range map[int]time.Duration{1: connectPause, 3: 4 * time.Second, 5: 16 * time.Second, 20: 2 * time.Minute, 100: 2 * time.Minute} {
		if got := largest(attempt); got > limit || got < limit*8/10 {
			t.Errorf("attempt %d waits up to %v, want %v", attempt, got, limit)
		}
	}
	b := backoff{}
	if d := b.next(testBackoff, now); d > time.Second {
		t.Errorf("the first attempt waits %v", d)
	}
	for range 6 {
		b.begin(now)
		b.ended(10*time.Second, true, false, false) // up, but not for long
	}
	if b.attempt != 6 {
		t.Errorf("short connections are forgotten: attempt %d", b.attempt)
	}
	b.ended(time.Hour, false, false, false) // up, but nothing was acknowledged
	if b.attempt != 7 {
		t.Error("a connection that took nothing counts as a success")
	}
	b.ended(time.Hour, true, false, true)
	if b.attempt != 1 {
		t.Errorf("attempt %d after a good connection", b.attempt)
	}
	if d := b.next(testBackoff, now.Add(time.Hour)); d > time.Second {
		t.Errorf("after an end that we wanted: %v", d)
	}
	b.ended(time.Hour, true, true, false)
	if d := b.next(testBackoff, now); d < takeoverPause {
		t.Errorf("after a takeover: %v", d)
	}
}

// TestTakeoversWaitLonger: two gateways with one identity.
func TestTakeoversWaitLonger(t *testing.T) {
	var b backoff
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute}
	for i, least := range want {
		b.ended(time.Minute, true, true, false)
		if d := b.next(testBackoff, time.Now()); d < least || d > least+takeoverPause || i == 0 && d != least {
			t.Errorf("takeover %d: waits %v, want %v", i+1, d, least)
		}
		b.begin(time.Now())
	}
	b.ended(time.Minute, true, false, false) // lost in another way: that is not forgotten
	b.begin(time.Now())
	b.ended(time.Minute, true, true, false)
	if d := b.next(testBackoff, time.Now()); d < mostTakeover {
		t.Errorf("after a loss between: %v", d)
	}
	b.begin(time.Now())
	b.ended(2*time.Hour, true, true, false)
	if d := b.next(testBackoff, time.Now()); d != takeoverPause {
		t.Errorf("after two good hours: %v", d)
	}
}

// connects records when CONNECTs arrive.
type connects struct {
	mu sync.Mutex
	at []time.Time // guarded by mu
}

func (c *connects) times() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at)
}

func (c *connects) script(v awsiottest.ConnectVerdict) func(string) awsiottest.ConnectVerdict {
	return func(string) awsiottest.ConnectVerdict {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.at = append(c.at, time.Now())
		return v
	}
}

func (c *connects) check(t *testing.T, least int) {
	t.Helper()
	at := c.times()
	if len(at) < least {
		t.Errorf("%d CONNECTs, want at least %d", len(at), least)
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i].Sub(at[i-1]); gap < connectPause {
			t.Errorf("CONNECT %d came %v after the one before", i, gap)
		}
	}
}

func TestConnectsAreSpaced(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		bubble(t, nil, func(r *rig) {
			var c connects
			r.cloud.ScriptConnect(c.script(awsiottest.ConnectVerdict{Code: 0x87}))
			r.start()
			time.Sleep(10 * time.Minute)
			c.check(t, 8)
			if n := len(c.times()); n > 60 {
				t.Errorf("%d CONNECTs in 10 minutes", n)
			}
		})
	})
	t.Run("accepted and dropped", func(t *testing.T) {
		bubble(t, nil, func(r *rig) {
			var c connects
			r.cloud.ScriptConnect(c.script(awsiottest.ConnectVerdict{}))
			r.start()
			for range 10 {
				<-r.links
				r.cloud.Drop("")
			}
			c.check(t, 10)
		})
	})
	t.Run("slow", func(t *testing.T) {
		// The CONNECT is late in the attempt: the next one counts from it.
		bubble(t, nil, func(r *rig) {
			var c connects
			r.cloud.ScriptConnect(c.script(awsiottest.ConnectVerdict{Delay: 3 * time.Second, Close: true}))
			r.start()
			time.Sleep(3 * time.Minute)
			c.check(t, 4)
		})
	})
	t.Run("applied", func(t *testing.T) {
		bubble(t, nil, func(r *rig) {
			var c connects
			r.cloud.ScriptConnect(c.script(awsiottest.ConnectVerdict{}))
			r.start()
			cfg := r.cfg
			for i := range 5 {
				<-r.links
				cfg.Window = i + 1
				if err := r.sink.Apply(cfg, nil); err != nil {
					t.Fatal(err)
				}
			}
			<-r.links
			c.check(t, 6)
		})
	})
}

func TestTakeoverWaits(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		var c connects
		r.cloud.ScriptConnect(c.script(awsiottest.ConnectVerdict{}))
		r.start()
		<-r.links
		time.Sleep(time.Second)
		r.cloud.TakeOver("gateway-1")
		<-r.lost
		synctest.Wait()
		if h := r.sink.Health(); len(h) != 1 || h[0].Severity != condition.Alarm {
			t.Errorf("health %+v, want an alarm", h)
		}
		<-r.links
		if at := c.times(); at[1].Sub(at[0]) < takeoverPause {
			t.Errorf("back after %v", at[1].Sub(at[0]))
		}
	})
}

func TestUncleanStartWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(r *rig) // the first process's end
		want bool         // the second one waits
	}{
		{"killed", func(r *rig) { r.cloud.Offline(); _ = r.state.Put(memoryKey, []byte(`{"connection":1,"clean":false}`)) }, true},
		{"stopped", func(r *rig) { time.Sleep(time.Minute) }, false},
		{"stopped at once", func(r *rig) {}, true},
		{"unreadable", func(r *rig) { _ = r.state.Put(memoryKey, []byte(`?`)) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := &memoryState{}
			bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
				r.state = state
				r.start()
				<-r.links
				tt.stop(r)
				if tt.name == "killed" || tt.name == "unreadable" {
					saved, _ := state.Get(memoryKey)
					r.stop()
					_ = state.Put(memoryKey, saved)
				}
			})
			bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
				begin := time.Now()
				r.start()
				<-r.links
				if waited := time.Since(begin); (waited >= connectPause) != tt.want {
					t.Errorf("connected after %v, waits %v", waited, tt.want)
				}
			})
		})
	}
}
