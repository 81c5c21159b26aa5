package life

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// TestRenewalGoesBack: the new certificate is refused in each way; after three times the
// one before is used again, and whoever asked is told why.
func TestRenewalGoesBack(t *testing.T) {
	for _, v := range []uplink.Verdict{uplink.Closed, uplink.Declined, uplink.Forbidden, uplink.Over, uplink.Unusable} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			must(t, h.obtain())
			h.connects(t)
			old := h.choose().is.ID()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go h.Serve(ctx, h.cloud.connect(), &h.settings)
			synctest.Wait()
			outcome := make(chan error, 1)
			go func() { outcome <- h.Rotate(ctx) }()
			<-h.Changed()
			if err := h.Rotate(ctx); !errors.Is(err, ErrRenewing) {
				t.Errorf("two at once: %v", err)
			}
			for i := range mostRefusals {
				if c := h.choose(); c.Kind != OnTrial || c.is.Way != kept.Rotation {
					t.Fatalf("%s at try %d", c.Kind, i)
				}
				h.refuse(h.choose(), v, "the cloud says no")
			}
			if err := <-outcome; err == nil || !strings.Contains(err.Error(), "the cloud says no") {
				t.Errorf("told %v", err)
			}
			if c := h.choose(); c.Kind != Managed || c.is.ID() != old {
				t.Errorf("back to %s", c.Kind)
			}
			if all := h.Conditions(nil); len(all) != 1 || all[0].Code != "identity_not_renewed" {
				t.Errorf("conditions %v", all)
			}
		})
	}
}

// TestRenews when somebody asks: a minute for the cloud to know it, then it is tried.
func TestRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		if err := h.Rotate(context.Background()); !errors.Is(err, ErrNotConnected) {
			t.Errorf("without a connection: %v", err)
		}
		must(t, h.obtain())
		h.connects(t)
		old := h.choose().is.ID()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go h.Serve(ctx, h.cloud.connect(), &h.settings)
		synctest.Wait()
		outcome := make(chan error, 1)
		go func() { outcome <- h.Rotate(ctx) }()
		begin := time.Now()
		<-h.Changed()
		if waited := time.Since(begin); waited < settle {
			t.Errorf("tried after %s", waited)
		}
		if c := h.connects(t); c.Kind != OnTrial {
			t.Errorf("%s is tried", c.Kind)
		}
		must(t, <-outcome)
		if c := h.choose(); c.Kind != Managed || c.is.ID() == old {
			t.Errorf("%s, the same: %t", c.Kind, c.is.ID() == old)
		}
		if p := h.get(kept.Previous); p == nil || p.ID() != old {
			t.Error("the one before is not kept")
		}
	})
}

// TestDue: by age, by what is left of a short life, never by a clock that may be wrong,
// nor while something else is on trial, nor at once after a failure.
func TestDue(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		validity, after, at time.Duration
		synced              bool
		hold                string
		failed              time.Duration // ago
		want                bool
	}{
		"young":                 {30 * 365 * day, 365 * day, 300 * day, true, "", 0, false},
		"old":                   {30 * 365 * day, 365 * day, 400 * day, true, "", 0, true},
		"old, wrong clock":      {30 * 365 * day, 365 * day, 400 * day, false, "", 0, false},
		"old, held":             {30 * 365 * day, 365 * day, 400 * day, true, "a backlog", 0, false},
		"old, failed today":     {30 * 365 * day, 365 * day, 400 * day, true, "", time.Hour, false},
		"old, failed before":    {30 * 365 * day, 365 * day, 400 * day, true, "", 25 * time.Hour, true},
		"young, failed today":   {30 * 365 * day, 365 * day, 300 * day, true, "", time.Hour, false},
		"young, failed by hand": {30 * 365 * day, 365 * day, 300 * day, true, "", 25 * time.Hour, true},
		"90 days, in time":      {90 * day, 365 * day, 59 * day, true, "", 0, false},
		"90 days, last third":   {90 * day, 365 * day, 61 * day, true, "", 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.cloud.validity = c.validity
			h.settings.RotateAfter = setting.Duration(c.after)
			must(t, h.obtain())
			h.connects(t)
			time.Sleep(c.at)
			h.restart(c.synced)
			h.o.Hold = func() string { return c.hold }
			if c.failed > 0 {
				h.failed = &Failure{"no", time.Now().Add(-c.failed)}
			}
			if got := h.due(&h.settings); got != c.want {
				t.Errorf("%s: due %t", name, got)
			}
		})
	}
}

// TestShareIsItsOwn: gateways renew on different days, each always on its own.
func TestShareIsItsOwn(t *testing.T) {
	const most = 30 * 24 * time.Hour
	days := make(map[int]bool)
	for i := range 1000 {
		name := strings.Repeat("x", i)
		s := share(name, most)
		if s != share(name, most) || s < -most || s > most {
			t.Fatalf("%s: %s", name, s)
		}
		days[int(s/(24*time.Hour))] = true
	}
	if len(days) < 50 {
		t.Errorf("all on %d days", len(days))
	}
}

// TestRenewalGoesOn with the next start when a cut came between the certificate and its
// trial: it may be registered already, and nothing else would use it for a year.
func TestRenewalGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		h.connects(t)
		h.cloud.fails = func(topic string) string {
			if strings.Contains(topic, "provision") {
				h.cloud.used["token 2"] = true // registered, and the answer is lost
				return "lost"
			}
			return ""
		}
		if err := h.Obtain(context.Background(), h.cloud.connect(), kept.Rotation, &h.settings, nil); err == nil {
			t.Fatal("no error")
		}
		h.cloud.fails = nil
		h.restart(false)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go h.Serve(ctx, h.cloud.connect(), &h.settings)
		<-h.Changed()
		if c := h.connects(t); c.Kind != OnTrial || h.choose().is.Way != kept.Rotation || h.cloud.issued != 2 {
			t.Errorf("%s, %d certificates", c.Kind, h.cloud.issued)
		}
	})
}

// TestRenewalOverLostConnections: what somebody asked for goes on with the next connection,
// before the cloud has made a certificate and after; who asked is told the end.
func TestRenewalOverLostConnections(t *testing.T) {
	for _, part := range []string{"create-from-csr", "provision"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			must(t, h.obtain())
			h.connects(t)
			var serving sync.WaitGroup
			serve := func() (lose context.CancelFunc) {
				ctx, lose := context.WithCancel(context.Background())
				serving.Go(func() { h.Serve(ctx, h.cloud.connect(), &h.settings) })
				return lose
			}
			defer serving.Wait()
			var lose context.CancelFunc
			lost := 0
			h.cloud.fails = func(topic string) string {
				if lost > 0 && len(h.nudge) > 0 {
					t.Errorf("%s: it goes on, and is asked for once more", part)
				}
				if !strings.Contains(topic, part) || lost > 0 {
					return ""
				}
				lost++
				lose()
				return "lost"
			}
			lose = serve()
			synctest.Wait()
			outcome := make(chan error, 1)
			go func() { outcome <- h.Rotate(context.Background()) }()
			synctest.Wait()
			select {
			case err := <-outcome:
				t.Fatalf("%s: told %v, and it is not over", part, err)
			default:
			}
			defer serve()()
			<-h.Changed()
			made := h.cloud.issued
			if c := h.connects(t); lost != 1 || c.Kind != OnTrial {
				t.Errorf("%s: lost %d times, then %s", part, lost, c.Kind)
			}
			if err := <-outcome; err != nil {
				t.Errorf("%s: told %v", part, err)
			}
			time.Sleep(time.Hour)
			if synctest.Wait(); h.cloud.issued != made {
				t.Errorf("%s: another certificate is made: %d, not %d", part, h.cloud.issued, made)
			}
		})
	}
}

// TestNoTemplate: what only another configuration changes is told as that.
func TestNoTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.settings.Provision.Template = ""
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go h.Serve(ctx, h.cloud.connect(), &h.settings)
		synctest.Wait()
		if err := h.Rotate(ctx); !bridge.IsPermanent(err) {
			t.Errorf("%v", err)
		}
	})
}

// TestPreviousIsTried now and then when the cloud refuses the new one later: someone may
// have ended the wrong certificate.
func TestPreviousIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		h.connects(t)
		old := h.choose().is.ID()
		must(t, h.Obtain(context.Background(), h.cloud.connect(), kept.Rotation, &h.settings, nil))
		h.connects(t)
		tried := 0
		for range 30 {
			c := h.choose()
			if c.Kind != Managed {
				t.Fatalf("%s is chosen", c.Kind)
			}
			if c.is.ID() == old {
				tried++
			}
			h.refuse(c, uplink.Closed, "closed")
		}
		if tried != 2 {
			t.Errorf("the one before was tried %d times of 30", tried)
		}
		h.Proven(h.choose(), nil) // nobody showed a certificate
		if c := h.choose(); c.is.ID() == old {
			t.Error("the one before stays after the cloud took one")
		}
	})
}

// TestPreviousTakesOver when the cloud takes it and many times did not take the newer
// one: else it would be removed after its days, and the gateway be left with the one that
// is refused.
func TestPreviousTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		must(t, h.obtain())
		h.connects(t)
		old := h.choose().is.ID()
		must(t, h.Obtain(context.Background(), h.cloud.connect(), kept.Rotation, &h.settings, nil))
		h.connects(t)
		newer := h.choose().is.ID()
		for range previousEach {
			h.refuse(h.choose(), uplink.Closed, "closed")
		}
		h.connects(t)
		for range 5 { // it is current, so each attempt is its own
			if c := h.choose(); c.Kind != Managed || c.is.ID() != old {
				t.Fatalf("%s identity %s is used", c.Kind, c.is.ID())
			}
			h.refuse(h.choose(), uplink.Closed, "closed")
		}
		if p := h.get(kept.Previous); p == nil || p.ID() != newer {
			t.Error("the newer one is not kept")
		}
		if all := h.Conditions(nil); len(all) != 1 || all[0].Code != "identity_not_renewed" ||
			!strings.Contains(all[0].Text, "takes the newer certificate no more") {
			t.Errorf("conditions %v", all)
		}
		if h.due(&h.settings) {
			t.Error("it is renewed at once")
		}
		time.Sleep(afterFailure)
		if !h.due(&h.settings) {
			t.Error("it is not renewed after a day")
		}
	})
}
