package awsiot

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/uplink"
)

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
		if gap := at[i].Sub(at[i-1]); gap < uplink.ConnectPause {
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
		if at := c.times(); at[1].Sub(at[0]) < 30*time.Second {
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
		{"killed", func(r *rig) {
			r.cloud.Offline()
			_ = r.state.Put(lastLinkKey, []byte(`{"connection":1,"clean":false}`))
		}, true},
		{"stopped", func(r *rig) { time.Sleep(time.Minute) }, false},
		{"stopped at once", func(r *rig) {}, true},
		{"unreadable", func(r *rig) { _ = r.state.Put(lastLinkKey, []byte(`?`)) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := &memoryState{}
			bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
				r.state = state
				r.start()
				<-r.links
				tt.stop(r)
				if tt.name == "killed" || tt.name == "unreadable" {
					saved, _ := state.Get(lastLinkKey)
					r.stop()
					_ = state.Put(lastLinkKey, saved)
				}
			})
			bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
				begin := time.Now()
				r.start()
				<-r.links
				if waited := time.Since(begin); (waited >= uplink.ConnectPause) != tt.want {
					t.Errorf("connected after %v, waits %v", waited, tt.want)
				}
			})
		})
	}
}

// TestOneGatewayConnectsSoon: with someone in front of it.
func TestOneGatewayConnectsSoon(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		begin := time.Now()
		r.start()
		link := <-r.links
		if d := time.Since(begin); d > time.Second {
			t.Errorf("connected %v after the start", d)
		}
		time.Sleep(time.Minute)
		if err := <-publish(link, "t", "x"); err != nil {
			t.Fatal(err)
		}
		lost := time.Now()
		r.cloud.Drop("gateway-1")
		<-r.links
		if d := time.Since(lost); d > 2*time.Second {
			t.Errorf("connected %v after the loss", d)
		}
	})
}

// Who asks does not wait for the next time: ConnectNow tells what became of the
// attempt, and a connection that there is stays.
func TestConnectNow(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		var c connects
		var welcome atomic.Bool
		r.cloud.ScriptConnect(func(client string) awsiottest.ConnectVerdict {
			if welcome.Load() {
				return c.script(awsiottest.ConnectVerdict{})(client)
			}
			return c.script(awsiottest.ConnectVerdict{Code: 0x87})(client)
		})
		r.start()
		// Each time the next attempt by itself is far off, so that it is ours that is seen.
		const far = 20 * time.Second
		farOff := func() (attempts int) {
			for range 10000 {
				time.Sleep(time.Second)
				synctest.Wait()
				if time.Until(r.sink.Link().Retry) > far {
					return len(c.times())
				}
			}
			t.Fatal("the next attempt is never far off")
			return 0
		}
		before, asked := farOff(), time.Now()
		link, tried := r.sink.ConnectNow(context.Background())
		if !tried || link.Connected || link.Detail == "" || len(c.times()) != before+1 || time.Since(asked) > far/2 {
			t.Errorf("while the cloud refuses, after %v: %t %+v, %d attempts", time.Since(asked), tried, link,
				len(c.times())-before)
		}
		before, asked = farOff(), time.Now()
		welcome.Store(true)
		link, tried = r.sink.ConnectNow(context.Background())
		if !tried || !link.Connected || len(c.times()) != before+1 || time.Since(asked) > far/2 {
			t.Errorf("when it does not any more, after %v: %t %+v", time.Since(asked), tried, link)
		}
		<-r.links
		before = len(c.times())
		if link, tried := r.sink.ConnectNow(context.Background()); !tried || !link.Connected || len(c.times()) != before {
			t.Errorf("while connected: %t %+v, %d connects", tried, link, len(c.times())-before)
		}
	})
}
