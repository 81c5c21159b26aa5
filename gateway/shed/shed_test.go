package shed

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/budget"
	"fieldbridge/condition"
)

// holder is one that has so much to give.
type holder struct {
	has  int64
	said []string
}

func (h *holder) Shed() int64 {
	h.said = append(h.said, "shed")
	n := h.has
	h.has = 0
	return n
}

func (h *holder) Regain() { h.said = append(h.said, "regain") }

// TestWatch: near the limit each gives up what it can, once, and again where that did
// not suffice; it is said, and taken back when there is room for it for a minute.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Int64
		a, b, collected := &holder{has: 5 << 20}, &holder{has: 1 << 20}, 0
		w := &Watch{Holders: []Holder{a, b}, Collect: func() { collected++ },
			Measure: func() budget.Use {
				return budget.Use{Bytes: used.Load() << 20, Limit: 80 << 20, Of: "GOMEMLIMIT"}
			}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Run(ctx) }()
		after := func(d time.Duration, mib int64, tight bool, said ...string) {
			t.Helper()
			used.Store(mib)
			time.Sleep(d)
			synctest.Wait()
			h := w.Health()
			if tight != (len(h) == 1) || tight && h[0].Code != condition.MemoryTight.Code {
				t.Errorf("%d MiB: %+v", mib, h)
			}
			c := min(count(said, "shed"), 1) // the second had nothing to give
			if !slices.Equal(a.said, said) || !slices.Equal(b.said, said) || collected != c {
				t.Errorf("%d MiB: told %v and %v, want %v; collected %d times", mib, a.said, b.said, said, collected)
			}
		}
		after(time.Minute, 70, false)
		after(3*time.Second, 71, true, "shed")
		if text := w.Health()[0].Text; !strings.Contains(text, "71 MiB are in use of 80 MiB that GOMEMLIMIT allows") {
			t.Error(text)
		}
		after(20*time.Second, 71, true, "shed") // it may take a while
		after(20*time.Second, 75, true, "shed", "shed")
		after(10*time.Minute, 65, true, "shed", "shed")           // less than where it began, more than where it ends
		after(10*time.Minute, 55, true, "shed", "shed")           // no room for the 6 MiB that were given
		after(50*time.Second, 54, true, "shed", "shed")           // not for long enough
		after(4*time.Second, 56, true, "shed", "shed")            // and not in a row
		after(59*time.Second, 54, true, "shed", "shed")           // it begins anew
		after(8*time.Second, 54, false, "shed", "shed", "regain") // there is
		after(time.Hour, 70, false, "shed", "shed", "regain")     // as before
		// And again.
		after(3*time.Second, 71, true, "shed", "shed", "regain", "shed")
		stop()
		<-ended
	})
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// TestNoLimit: where there is none nothing is given up.
func TestNoLimit(t *testing.T) {
	w := &Watch{Holders: []Holder{&holder{}}, Measure: func() budget.Use { return budget.Use{Bytes: 1 << 40} }}
	w.look()
	if w.short || len(w.Health()) > 0 {
		t.Errorf("%+v", w)
	}
}
