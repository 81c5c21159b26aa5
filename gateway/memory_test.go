package gateway

import (
	"log/slog"
	"math"
	"runtime/debug"
	"testing"

	"fieldbridge/configs"
	"fieldbridge/store/terms"
)

// TestMemoryIsShared: what all may take together is less than there is, from the
// smallest control group to a large machine.
func TestMemoryIsShared(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		limit          int64
		configured     bool
		queue, journal int64
		sensors, heap  int64
	}{
		{32 * mib, true, 2 * mib, 1 * mib, 8 * mib, 23 * mib},
		{32 * mib, false, 2 * mib, 1 * mib, 8 * mib, 23 * mib},
		{64 * mib, false, 4 * mib, 2 * mib, 16 * mib, 46 * mib},
		{256 * mib, false, 8 * mib, 4 * mib, 32 * mib, 188 * mib},
		{1024 * mib, true, 64 * mib, 32 * mib, 256 * mib, 736 * mib},
	} {
		s := share(tt.limit, tt.configured)
		journal := (&terms.Config{Memory: s.queue}).JournalMost()
		if s.queue != tt.queue || journal != tt.journal || s.sensors != tt.sensors || s.heap != tt.heap {
			t.Errorf("%d MiB: %+v, journal %d", tt.limit/mib, s, journal)
		}
		if s.queue+s.sensors > s.heap || s.heap+journal > tt.limit || journal > s.queue {
			t.Errorf("%d MiB do not hold %+v and a journal of %d", tt.limit/mib, s, journal)
		}
	}
}

// TestQueueGetsItsShare: the configuration that the queue is opened with says how much.
func TestQueueGetsItsShare(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	t.Setenv("GOMEMLIMIT", "")
	c := configs.Config{Memory: 96 << 20}
	if sensors := limitMemory(&c, slog.New(slog.DiscardHandler)); sensors != 24<<20 || c.Store.Memory != 6<<20 {
		t.Errorf("sensors have %d, the queue %d", sensors, c.Store.Memory)
	}
	if heap := debug.SetMemoryLimit(-1); heap != 69<<20 {
		t.Errorf("the heap may have %d", heap)
	}
}

// TestShareFollowsGOMEMLIMIT: where it allows less than the machine or memory: does, the
// shares are those of what it allows; where it allows more it changes nothing.
func TestShareFollowsGOMEMLIMIT(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for heap, want := range map[int64]int64{24 << 20: 8 << 20, 1 << 30: 24 << 20, math.MaxInt64: 24 << 20} {
		debug.SetMemoryLimit(heap)
		t.Setenv("GOMEMLIMIT", "said")
		c := configs.Config{Memory: 96 << 20}
		if sensors := limitMemory(&c, slog.New(slog.DiscardHandler)); sensors != want || c.Store.Memory != want/4 {
			t.Errorf("with %d sensors have %d, the queue %d", heap, sensors, c.Store.Memory)
		}
		if now := debug.SetMemoryLimit(-1); now != heap {
			t.Errorf("what was said, %d, became %d", heap, now)
		}
	}
}
