package bridgetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
)

func TestSinkFollowsItsScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		s := &Sink{Script: func(n int, _ bridge.Message) Outcome {
			switch n {
			case 0:
				return Outcome{After: time.Second}
			case 1:
				return Outcome{Err: refused}
			case 2:
				return Outcome{Lose: true}
			default:
				return Outcome{After: 2 * time.Second, Cut: true, Untaken: true}
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		type result struct {
			n   int
			err error
			at  time.Duration
		}
		results := make(chan result, 4)
		go s.Run(ctx, func(ctx context.Context, l bridge.Link) {
			if s.Links() == 1 {
				for n := range 4 {
					l.Publish(bridge.Message{Topic: "t"}, func(err error) { results <- result{n, err, time.Since(start)} })
				}
			}
			<-ctx.Done()
		})
		want := []result{{1, refused, 0}, {0, nil, time.Second},
			{2, ErrLinkDown, 2 * time.Second}, {3, ErrLinkDown, 2 * time.Second}}
		for _, w := range want {
			if got := <-results; got != w {
				t.Errorf("got %v, want %v", got, w)
			}
		}
		time.Sleep(time.Minute)
		if s.Links() != 2 || len(s.Taken()) != 2 || s.Peak() != 4 {
			t.Errorf("links %d, taken %d, peak %d: want 2, 2, 4", s.Links(), len(s.Taken()), s.Peak())
		}
		s.Down()
		time.Sleep(time.Minute)
		if s.Links() != 2 {
			t.Error("a link was made while down")
		}
		s.Up()
		time.Sleep(time.Minute)
		if s.Links() != 3 {
			t.Error("no link after down ended")
		}
	})
}

func TestLinkHoldsItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{LinkLimits: bridge.Limits{Window: 2}, Script: func(int, bridge.Message) Outcome {
			return Outcome{After: time.Second}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		l := s.Dial(ctx)
		start := time.Now()
		outcomes := make(chan error, 5)
		for range 5 {
			l.Publish(bridge.Message{}, func(err error) { outcomes <- err })
		}
		if d := time.Since(start); d != 2*time.Second || s.Peak() != 2 {
			t.Errorf("5 messages were handed over after %v with %d in flight, want 2s and 2", d, s.Peak())
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		failed := 0
		for range 5 {
			if err := <-outcomes; err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d messages failed, want the one in flight", failed)
		}
	})
}
