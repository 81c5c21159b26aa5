package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/pulse"
)

// sickLink is one connection that does what a test says. What it owes when it ends it
// gives, but for one that keeps its outcomes.
type sickLink struct {
	publish func(over <-chan struct{}, done func(error)) bool // reports whether the outcome is owed
	keeps   bool
	over    <-chan struct{} // the test is
	end     context.CancelFunc

	mu   sync.Mutex
	owed []func(error)
}

func (l *sickLink) Publish(_ bridge.Message, done func(error)) {
	if l.publish(l.over, done) {
		l.mu.Lock()
		l.owed = append(l.owed, done)
		l.mu.Unlock()
	}
}

func (l *sickLink) Limits() bridge.Limits {
	return bridge.Limits{Window: 2, Messages: 1, Answer: 30 * time.Second}
}

func (l *sickLink) GiveUp() {
	l.end()
	if !l.keeps {
		l.give()
	}
}

func (l *sickLink) give() {
	l.mu.Lock()
	owed := l.owed
	l.owed = nil
	l.mu.Unlock()
	for _, done := range owed {
		done(bridgetest.ErrLinkDown)
	}
}

// TestForwarderPulse: the watchdog hears of a forwarder that stands still, and not of
// one whose uplink does.
func TestForwarderPulse(t *testing.T) {
	answers := func(err error) func(<-chan struct{}, func(error)) bool {
		return func(_ <-chan struct{}, done func(error)) bool { done(err); return false }
	}
	nothing := func(<-chan struct{}, func(error)) bool { return true }
	slow := func(_ <-chan struct{}, done func(error)) bool { time.Sleep(29 * time.Second); done(nil); return false }
	hangs := func(over <-chan struct{}, _ func(error)) bool { <-over; return true }
	for name, tt := range map[string]struct {
		publish func(over <-chan struct{}, done func(error)) bool
		keeps   bool   // the outcomes of a connection that has ended
		late    string // who is; "" for nobody
	}{
		"all is acknowledged":    {publish: answers(nil)},
		"all is refused":         {publish: answers(errors.New("not now"))},
		"the topic is refused":   {publish: answers(bridge.RefuseTopic(errors.New("denied")))},
		"nothing is answered":    {publish: nothing},
		"no outcome ever":        {publish: nothing, keeps: true, late: "forwarder"},
		"an answer takes long":   {publish: slow},
		"publishing never ends":  {publish: hangs, late: "forwarder, fresh lane"},
		"nothing is there to do": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				queue := bridgetest.NewQueue()
				f := bridge.NewForwarder(queue, bridgetest.Format{}, bridge.ForwardConfig{}, slog.New(slog.DiscardHandler))
				board := pulse.NewBoard()
				f.Watched(func(name string) bridge.Pulse { return board.Loop(name) })
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan struct{})
				served := make(chan struct{})
				links := make(chan *sickLink, 100)
				go func() {
					defer close(served)
					for ctx.Err() == nil {
						up, end := context.WithCancel(ctx)
						l := &sickLink{publish: tt.publish, keeps: tt.keeps, over: over, end: end}
						links <- l
						f.Serve(up, l)
						end()
					}
				}()
				synctest.Wait() // it is connected before there is something
				late := ""
				for range 600 {
					if tt.publish != nil {
						queue.Append(bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{good("a", 1)}}, nil)
					}
					time.Sleep(time.Second)
					if l := board.Late(); len(l) > 0 {
						late = l[0].Name
					}
				}
				if late != tt.late {
					t.Errorf("%q is late, want %q", late, tt.late)
				}
				cancel()
				close(over)
				synctest.Wait()
				for len(links) > 0 {
					(<-links).give()
				}
				<-served
			})
		})
	}
}

// TestCollectorPulse: a batch that stays in the collector is noticed, whoever brought it
// and whoever else passes.
func TestCollectorPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board, queue := pulse.NewBoard(), &stuckQueue{over: make(chan struct{})}
		c := bridge.NewCollector(queue, bridgetest.Format{}, new(bridge.Catalogue), func() bool { return true },
			slog.New(slog.DiscardHandler))
		c.Watched(board.Crossing("collector", 30*time.Second))
		emit := func(device string) {
			c.Emit(bridge.Batch{Device: device, At: time.Now(), Readings: []bridge.Reading{good("a", 1)}}, nil)
		}
		late := func() (by time.Duration) {
			for range 300 {
				emit("well")
				time.Sleep(time.Second)
				if l := board.Late(); len(l) > 0 {
					by = l[0].By
				}
			}
			return by
		}
		if by := late(); by != 0 {
			t.Errorf("nothing is wrong, and it is late by %v", by)
		}
		go emit("stuck")
		if by := late(); by < 4*time.Minute {
			t.Errorf("a batch stays inside, and it is late by %v", by)
		}
		close(queue.over)
	})
}

// stuckQueue keeps who brings the batches of one device.
type stuckQueue struct{ over chan struct{} }

func (q *stuckQueue) Append(b bridge.Batch, _ func(error)) {
	if b.Device == "stuck" {
		<-q.over
	}
}
