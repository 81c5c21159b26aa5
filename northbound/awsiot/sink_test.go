package awsiot

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPublishAndOrder(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		want := bridge.Limits{Window: 20, Messages: 80, Bytes: 400 << 10, Answer: 30 * time.Second}
		if diff := cmp.Diff(want, link.Limits()); diff != "" {
			t.Errorf("limits (-want +got):\n%s", diff)
		}
		var outcomes []<-chan error
		for i := range 200 {
			outcomes = append(outcomes, publish(link, "t", strconv.Itoa(i)))
		}
		for i, o := range outcomes {
			if err := <-o; err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		for i, m := range r.arrived("t") {
			if string(m.Payload) != strconv.Itoa(i) || m.ContentType != payload.ContentType || m.QoS != 1 {
				t.Fatalf("message %d is %q (%s, QoS %d)", i, m.Payload, m.ContentType, m.QoS)
			}
		}
		if got := len(r.arrived("t")); got != 200 {
			t.Errorf("%d messages arrived", got)
		}
	})
}

func TestWindowBlocks(t *testing.T) {
	bubble(t, func(cfg *Config, _ *Options) { cfg.Window = 4 }, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait() // the birth is acknowledged
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Second} })
		begin := time.Now()
		var outcomes []<-chan error
		for range 11 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		// Five places (one is for the status topic): the sixth waits a second,
		// the eleventh two.
		if waited := time.Since(begin); waited != 2*time.Second {
			t.Errorf("publishing took %v, want 2s", waited)
		}
		for _, o := range outcomes {
			if err := <-o; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPubackReasons(t *testing.T) {
	tests := []struct {
		code              byte
		failed, permanent bool
	}{
		{0x00, false, false}, {0x10, false, false}, {0x80, true, false}, {0x83, true, false}, {0x87, true, false},
		{0x91, true, false}, {0x97, true, false}, {0x90, true, true}, {0x95, true, true}, {0x99, true, true},
	}
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		for _, tt := range tests {
			r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Code: tt.code} })
			err := <-publish(link, "t", "x")
			if (err != nil) != tt.failed || bridge.IsPermanent(err) != tt.permanent {
				t.Errorf("0x%02X: %v, permanent %v", tt.code, err, bridge.IsPermanent(err))
			}
		}
		if len(r.lost) > 0 {
			t.Error("a refusal ended the connection")
		}
	})
}

// TestGrants: what the CONNACK grants is kept to.
func TestGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, awsiottest.Options{ReceiveMaximum: 3, MaximumPacket: 1100}, nil)
		defer r.stop()
		r.start()
		link := <-r.links
		if w := link.Limits().Window; w != 3 {
			t.Errorf("window %d", w)
		}
		synctest.Wait()
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Second} })
		var outcomes []<-chan error
		for range 10 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		outcomes = append(outcomes, publish(link, "t", strings.Repeat("x", 900)))
		for i, o := range outcomes {
			if err := <-o; err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		if n := r.cloud.Counts().Violations; n > 0 || len(r.lost) > 0 {
			t.Errorf("%d violations, %d connections lost", n, len(r.lost))
		}
		// A reading that the cloud's limit keeps back is not a dead letter: it waits, the
		// connection ends, and someone is told.
		if err := <-publish(link, "t", strings.Repeat("x", 1100)); err == nil || bridge.IsPermanent(err) {
			t.Errorf("over the granted packet size: %v", err)
		}
		<-r.lost
		synctest.Wait()
		if got := subjects(r.sink); got != "alarm uplink" || r.cloud.Counts().Violations > 0 {
			t.Errorf("health: %s, %d violations", got, r.cloud.Counts().Violations)
		}
	})
}

func TestTooLargeIsRefusedBeforeSending(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		for _, m := range []bridge.Message{
			{Topic: "t", Payload: make([]byte, payload.MaxBytes+1)},
			{Topic: string(make([]byte, 257)), Payload: []byte("x")},
		} {
			var got error
			link.Publish(m, func(err error) { got = err })
			if !bridge.IsPermanent(got) {
				t.Errorf("%d bytes: %v, want a permanent refusal", len(m.Payload), got)
			}
		}
		if err := <-publish(link, "t", string(make([]byte, payload.MaxBytes))); err != nil {
			t.Errorf("128 KiB: %v", err)
		}
		if n := r.cloud.Counts().Violations; n > 0 {
			t.Errorf("%d violations", n)
		}
	})
}

func TestLostAckEndsTheConnection(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait()
		lose := true
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict {
			v := awsiottest.Verdict{Lose: lose}
			lose = false
			return v
		})
		begin := time.Now()
		outcome := publish(link, "t", "x")
		// Others are acknowledged; the lost one counts nevertheless.
		time.Sleep(10 * time.Second)
		if err := <-publish(link, "t", "y"); err != nil {
			t.Error(err)
		}
		if err := <-outcome; err == nil || bridge.IsPermanent(err) {
			t.Errorf("outcome %v, want a failure to try again", err)
		}
		if after := time.Since(begin); after != 30*time.Second {
			t.Errorf("given up after %v, want the ack_timeout of 30s", after)
		}
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Errorf("after reconnecting: %v", err)
		}
	})
}

func TestBlackHole(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		link := <-r.links
		synctest.Wait()
		r.cloud.Dark()
		var outcomes []<-chan error
		for range 21 {
			outcomes = append(outcomes, publish(link, "t", "x"))
		}
		blocked := make(chan (<-chan error))
		go func() { blocked <- publish(link, "t", "one too many") }()
		begin := time.Now()
		for _, o := range append(outcomes, <-blocked) {
			if err := <-o; !errors.Is(err, uplink.ErrLost) {
				t.Errorf("outcome %v, want connection lost", err)
			}
		}
		if after := time.Since(begin); after > 30*time.Second {
			t.Errorf("noticed after %v", after)
		}
		time.Sleep(10 * time.Minute)
		if h := r.sink.Health(); len(h) != 1 || h[0].Subject != "uplink" {
			t.Errorf("health %+v", h)
		}
		r.cloud.Light()
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Error(err)
		}
		if h := r.sink.Health(); len(h) != 0 {
			t.Errorf("health %+v after reconnecting", h)
		}
	})
}

// TestCaseW01: a path that silently drops what is sent is noticed by what is not
// acknowledged, or while nothing is sent by the pings; what was in flight is sent again.
func TestCaseW01(t *testing.T) {
	for name, busy := range map[string]bool{"with data": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(cfg *Config, _ *Options) {
				cfg.AckTimeout, cfg.KeepAlive = setting.Duration(5*time.Second), setting.Duration(30*time.Second)
			}, func(r *rig) {
				r.start()
				link := <-r.links
				synctest.Wait()
				r.cloud.Dark()
				begin, most := time.Now(), time.Minute // an interval to the ping, and one for its answer
				if busy {
					most = 6 * time.Second
					if err := <-publish(link, "t", "x"); !errors.Is(err, uplink.ErrLost) {
						t.Errorf("outcome %v", err)
					}
				}
				<-r.lost
				if after := time.Since(begin); after > most {
					t.Errorf("noticed after %v", after)
				}
				r.cloud.Light()
				if err := <-publish(<-r.links, "t", "x"); err != nil {
					t.Errorf("on the new connection: %v", err)
				}
			})
		})
	}
}

func TestEndsOfConnections(t *testing.T) {
	tests := map[string]struct {
		end  func(c *awsiottest.Cloud)
		text string
	}{
		"reset":         {func(c *awsiottest.Cloud) { c.Drop("") }, "broken"},
		"taken over":    {func(c *awsiottest.Cloud) { c.TakeOver("gateway-1") }, "0x8E"},
		"shutting down": {func(c *awsiottest.Cloud) { c.Disconnect("gateway-1", 0x8B) }, "0x8B"},
		"offline":       {func(c *awsiottest.Cloud) { c.Offline() }, "broken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(r *rig) {
				r.start()
				link := <-r.links
				synctest.Wait()
				r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Lose: true} })
				outcome := publish(link, "t", "x")
				synctest.Wait()
				tt.end(r.cloud)
				if err := <-outcome; !errors.Is(err, uplink.ErrLost) {
					t.Errorf("outcome %v", err)
				}
				<-r.lost
				synctest.Wait()
				l := r.sink.Link()
				if l.Connected || !strings.Contains(l.Detail, tt.text) {
					t.Errorf("link %+v, want %q", l, tt.text)
				}
				_ = r.cloud.Online()
				r.cloud.Script(nil)
				if err := <-publish(<-r.links, "t", "x"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestNothingWithoutFiles(t *testing.T) {
	bubble(t, func(cfg *Config, _ *Options) { cfg.Certificate = "missing.pem" }, func(r *rig) {
		r.start()
		time.Sleep(time.Minute)
		h := r.sink.Health()
		if len(h) != 1 || h[0].Severity != condition.Alarm || !strings.Contains(h[0].Text, "missing.pem does not exist") {
			t.Errorf("health %+v", h)
		}
		// The files may come while we run.
		good := r.cfg
		id, err := r.cloud.Device("gateway-1")
		if err != nil {
			t.Fatal(err)
		}
		good.Certificate = setting.Path(id.Certificate)
		if err := r.sink.Apply(good, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-publish(<-r.links, "t", "x"); err != nil {
			t.Error(err)
		}
	})
}

func TestApplyReconnectsCleanly(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(time.Minute)
		cfg := r.cfg
		cfg.Topic, cfg.MaxMessage = "other/{device}", 2000
		if err := r.sink.Apply(cfg, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.lost) > 0 {
			t.Error("a change of topics ended the connection")
		}
		if got := r.sink.Format().Topic(&bridge.Batch{Device: "d"}); got != "other/d" {
			t.Errorf("topic %q", got)
		}
		cfg.Window = 7
		if err := r.sink.Apply(cfg, nil); err != nil {
			t.Fatal(err)
		}
		<-r.lost
		if got := (<-r.links).Limits().Window; got != 7 {
			t.Errorf("window %d", got)
		}
		cfg.Order = payload.OldestFirst
		if err := r.sink.Apply(cfg, nil); err != nil {
			t.Fatal(err)
		}
		<-r.lost
		<-r.links
		if slices.Contains(r.types(), "offline") {
			t.Error("the last will was published")
		}
		// Labels are told in another birth, and stand in topics.
		cfg.Topic, cfg.StatusTopic = "{label.site}/{device}", "{label.site}/status"
		if err := r.sink.Apply(cfg, map[string]string{"site": "brno"}); err != nil {
			t.Fatal(err)
		}
		<-r.lost
		<-r.links
		if n := len(r.arrived("brno/status")); n != 1 {
			t.Errorf("%d births on brno/status", n)
		}
		cfg.StatusTopic = "fieldbridge/{gateway}/status"
		if err := r.sink.Apply(cfg, map[string]string{"site": "brno"}); err != nil {
			t.Fatal(err)
		}
		<-r.lost
		<-r.links
		if err := r.sink.Apply(cfg, map[string]string{"site": "cheb"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if len(r.lost) > 0 {
			t.Error("labels that no topic of the session has ended the connection")
		}
		if got := r.sink.Format().Topic(&bridge.Batch{Device: "d"}); got != "cheb/d" {
			t.Errorf("topic %q", got)
		}
		var told []any
		for _, s := range r.statuses() {
			if labels, ok := s["labels"].(map[string]any); ok {
				told = append(told, labels["site"])
			}
		}
		if diff := cmp.Diff([]any{"brno", "cheb"}, told); diff != "" {
			t.Errorf("births tell the labels (-want +got):\n%s", diff)
		}
		if err := r.sink.Apply(cfg, nil); err == nil {
			t.Error("a topic with a label that is not there is taken")
		}
		cfg.Window = 0
		if err := r.sink.Apply(cfg, nil); err == nil {
			t.Error("an impossible window is taken")
		}
	})
}
