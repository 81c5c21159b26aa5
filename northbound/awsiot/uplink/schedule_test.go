package uplink

import (
	"testing"
	"time"

	"fieldbridge/setting"
)

var testBackoff = Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute), Gateways: 1}

func TestBackoffGrowsAndRemembers(t *testing.T) {
	now := time.Now()
	largest := func(attempt int) time.Duration {
		longest := time.Duration(0)
		for range 2000 {
			b := Schedule{attempt: attempt, last: now}
			d := b.Next(testBackoff, "gateway", now)
			if d < ConnectPause {
				t.Fatalf("attempt %d waits only %v", attempt, d)
			}
			longest = max(longest, d)
		}
		return longest
	}
	for attempt, limit := range map[int]time.Duration{1: ConnectPause, 3: 4 * time.Second, 4: soon, 20: soon,
		patience:     soon,
		patience + 1: 2 * soon, patience + 4: 2 * time.Minute, 10_000: 2 * time.Minute} {
		if got := largest(attempt); got > limit || got < limit*8/10 {
			t.Errorf("attempt %d waits up to %v, want %v", attempt, got, limit)
		}
	}
	b := Schedule{}
	if d := b.Next(testBackoff, "gateway", now); d > time.Second {
		t.Errorf("the first attempt waits %v", d)
	}
	for range 6 {
		b.Begin(now)
		b.Ended(10*time.Second, true, false, false) // up, but not for long
	}
	if b.attempt != 6 {
		t.Errorf("short connections are forgotten: attempt %d", b.attempt)
	}
	b.Ended(time.Hour, false, false, false) // up, but nothing was acknowledged
	if b.attempt != 7 {
		t.Error("a connection that took nothing counts as a success")
	}
	b.Ended(time.Hour, true, false, true)
	if b.attempt != 1 {
		t.Errorf("attempt %d after a good connection", b.attempt)
	}
	if d := b.Next(testBackoff, "gateway", now.Add(time.Hour)); d > time.Second {
		t.Errorf("after an end that we wanted: %v", d)
	}
	b.Ended(time.Hour, true, true, false)
	if d := b.Next(testBackoff, "gateway", now); d < takeoverPause {
		t.Errorf("after a takeover: %v", d)
	}
}

// TestBackoffOfOtherSettings: what is set counts, and a large fleet is spread.
func TestBackoffOfOtherSettings(t *testing.T) {
	backoff := func(least, most time.Duration, gateways int) Backoff {
		return Backoff{Min: setting.Duration(least), Max: setting.Duration(most), Gateways: gateways}
	}
	for _, tt := range []struct {
		cfg     Backoff
		attempt int
		want    time.Duration
	}{
		{backoff(time.Second, 3*time.Second, 1), 20, 3 * time.Second},
		{backoff(time.Second, 3*time.Second, 1), 1000, 3 * time.Second},
		{backoff(time.Minute, time.Hour, 1), 1, time.Minute},
		{backoff(time.Minute, time.Hour, 1), patience + 2, 4 * time.Minute},
		{backoff(time.Second, time.Hour, 9_320), 20, 40 * time.Second},
		{backoff(time.Second, time.Hour, 9_320), patience + 1, 80 * time.Second},
	} {
		if got := (&Schedule{attempt: tt.attempt}).limit(tt.cfg); got != tt.want {
			t.Errorf("%+v, attempt %d: %v, want %v", tt.cfg, tt.attempt, got, tt.want)
		}
	}
}

// TestTakeoversWaitLonger: two gateways with one identity.
func TestTakeoversWaitLonger(t *testing.T) {
	var b Schedule
	want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
		15 * time.Minute, 15 * time.Minute}
	for i, least := range want {
		b.Ended(time.Minute, true, true, false)
		if d := b.Next(testBackoff, "gateway", time.Now()); d < least || d > least+takeoverPause || i == 0 && d != least {
			t.Errorf("takeover %d: waits %v, want %v", i+1, d, least)
		}
		b.Begin(time.Now())
	}
	b.Ended(time.Minute, true, false, false) // lost in another way: that is not forgotten
	b.Begin(time.Now())
	b.Ended(time.Minute, true, true, false)
	if d := b.Next(testBackoff, "gateway", time.Now()); d < mostTakeover {
		t.Errorf("after a loss between: %v", d)
	}
	b.Begin(time.Now())
	b.Ended(2*time.Hour, true, true, false)
	if d := b.Next(testBackoff, "gateway", time.Now()); d != takeoverPause {
		t.Errorf("after two good hours: %v", d)
	}
}
