package bridge_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
)

// forgetful is a link that forgets one outcome, and tells it only when it is
// given up; the others come at once.
type forgetful struct {
	giveUp context.CancelFunc

	mu    sync.Mutex
	sent  int         // guarded by mu, as all below
	lost  func(error) // of the first message
	given time.Time
}

func (*forgetful) Limits() bridge.Limits { return bridge.Limits{Window: 4, Answer: 30 * time.Second} }

func (f *forgetful) Publish(_ bridge.Message, done func(error)) {
	f.mu.Lock()
	f.sent++
	first := f.sent == 1
	if first {
		f.lost = done
	}
	f.mu.Unlock()
	if !first {
		done(nil)
	}
}

func (f *forgetful) GiveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.given.IsZero() {
		f.given = time.Now()
		f.giveUp()
		f.lost(bridgetest.ErrLinkDown)
	}
}

// TestLostOutcome: an outcome that a link forgets is waited for twice as long as
// it may take, though all others come; then the link is given up and the batch
// waits again.
func TestLostOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		q := bridgetest.NewQueue()
		f := bridge.NewForwarder(q, bridgetest.Format{}, bridge.ForwardConfig{}, slog.New(slog.DiscardHandler))
		link := &forgetful{giveUp: cancel}
		start := time.Now()
		var feed sync.WaitGroup
		feed.Go(func() {
			for tick := time.Tick(time.Second); ctx.Err() == nil; {
				q.Append(bridge.Batch{Device: "d", At: time.Now(),
					Readings: []bridge.Reading{{Point: "p", Value: bridge.Bool(true)}}}, nil)
				select {
				case <-tick:
				case <-ctx.Done():
				}
			}
		})
		f.Serve(ctx, link)
		feed.Wait()
		if took := link.given.Sub(start); took < 60*time.Second || took > 2*time.Minute {
			t.Errorf("given up after %v, want 60s to 2m", took)
		}
		if l := q.Ledger(); link.sent < 50 || l.Waiting.Batches == 0 {
			t.Errorf("%d messages, ledger %+v: want the forgotten batch to wait", link.sent, l)
		}
	})
}
