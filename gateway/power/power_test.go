package power

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// queue writes down what it is asked.
type queue struct {
	asked []string
	err   error
}

func (q *queue) Hurry(on bool) {
	q.asked = append(q.asked, map[bool]string{true: "hurry", false: "calm"}[on])
}

func (q *queue) Commit(context.Context) error {
	q.asked = append(q.asked, "commit")
	return q.err
}

func TestPower(t *testing.T) {
	for name, tt := range map[string]struct {
		signals []os.Signal // a minute apart
		after   time.Duration
		asked   []string
		fails   bool // still
	}{
		"it fails":        {[]os.Signal{syscall.SIGPWR}, 3 * time.Minute, []string{"hurry", "commit"}, true},
		"by hand":         {[]os.Signal{syscall.SIGUSR2}, 3 * time.Minute, []string{"hurry", "commit"}, true},
		"it is back":      {[]os.Signal{syscall.SIGUSR2, syscall.SIGUSR1}, 0, []string{"hurry", "commit", "calm"}, false},
		"a false alarm":   {[]os.Signal{syscall.SIGPWR}, 5 * time.Minute, []string{"hurry", "commit", "calm"}, false},
		"nothing of that": {[]os.Signal{syscall.SIGUSR1}, 10 * time.Minute, nil, false},
		"it fails, and again": {[]os.Signal{syscall.SIGPWR, syscall.SIGUSR2}, 3 * time.Minute,
			[]string{"hurry", "commit", "hurry", "commit"}, true},
		"it fails once more": {[]os.Signal{syscall.SIGPWR, syscall.SIGUSR1, syscall.SIGPWR}, 3 * time.Minute,
			[]string{"hurry", "commit", "calm", "hurry", "commit"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				q := &queue{}
				w := Watch{Queue: q, Log: slog.New(slog.NewTextHandler(&log, nil))}
				signals := make(chan os.Signal, 1)
				ctx, cancel := context.WithCancel(t.Context())
				go w.Run(ctx, signals)
				for _, s := range tt.signals {
					signals <- s
					time.Sleep(time.Minute)
				}
				time.Sleep(tt.after)
				cancel()
				synctest.Wait()
				if !slices.Equal(q.asked, tt.asked) {
					t.Errorf("asked %q, want %q", q.asked, tt.asked)
				}
				if fails := len(w.Health()) == 1; fails != tt.fails {
					t.Errorf("the condition: %v, want %v", fails, tt.fails)
				}
				begins := 0
				for i, asked := range tt.asked {
					if asked == "hurry" && (i == 0 || tt.asked[i-1] == "calm") {
						begins++
					}
				}
				if told := strings.Count(log.String(), "about to fail"); told != begins {
					t.Errorf("told %d times, want %d:\n%s", told, begins, &log)
				}
			})
		})
	}
}

func TestCommitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := Watch{Queue: &queue{err: errors.New("no space left on device")},
			Log: slog.New(slog.NewTextHandler(&log, nil))}
		signals := make(chan os.Signal, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go w.Run(ctx, signals)
		signals <- syscall.SIGPWR
		synctest.Wait()
		if !strings.Contains(log.String(), "no space left") || strings.Contains(log.String(), "is on disk") {
			t.Errorf("log:\n%s", &log)
		}
		cancel()
		synctest.Wait()
	})
}
