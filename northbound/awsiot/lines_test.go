package awsiot

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// The tests of this file are of our session at the lines of AWS's behaviour that
// no other test has; awsiottest/checklist.md lists them all.

// cloudBubble runs a test with a stand-in of some options.
func cloudBubble(t *testing.T, cloud awsiottest.Options, change func(cfg *Config, o *Options), f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, cloud, change)
		defer r.stop()
		f(r)
	})
}

// TestLine02And03Session: on port 443 our hello has AWS's ALPN, and always the
// server's name.
func TestLine02And03Session(t *testing.T) {
	for _, endpoint := range []string{"localhost:443", "localhost:8883", "127.0.0.1:443"} {
		alpn := strings.HasSuffix(endpoint, ":443")
		cloudBubble(t, awsiottest.Options{ALPN: alpn, StrictSNI: true}, func(cfg *Config, _ *Options) {
			cfg.Endpoint, cfg.ServerName = endpoint, "localhost"
		}, func(r *rig) {
			r.start()
			<-r.links
			if state := r.current().TLS; (state.NegotiatedProtocol == uplink.ALPN) != alpn || state.ServerName != "localhost" {
				t.Errorf("%s: protocol %q, server name %q", endpoint, state.NegotiatedProtocol, state.ServerName)
			}
		})
	}
}

// current returns the session.
func (r *rig) current() *uplink.Session {
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	return r.sink.now
}

// TestLine05Session: a certificate that is not active is an alarm and is tried
// again; once it is active we connect.
func TestLine05Session(t *testing.T) {
	for _, inHandshake := range []bool{false, true} {
		cloudBubble(t, awsiottest.Options{RefuseInHandshake: inHandshake}, nil, func(r *rig) {
			id, err := r.cloud.Device("gateway-1")
			if err != nil {
				t.Fatal(err)
			}
			r.cloud.SetStatus(id.ID, registry.Inactive)
			r.start()
			time.Sleep(10 * time.Minute)
			h := r.sink.Health()
			if len(h) != 1 || h[0].Severity != condition.Alarm || !strings.Contains(h[0].Text,
				"registered in this account and region") {
				t.Errorf("in the handshake %v: health %+v", inHandshake, h)
			}
			r.cloud.SetStatus(id.ID, registry.Active)
			begin := time.Now()
			<-r.links
			if d := time.Since(begin); d > 2*time.Minute+time.Second {
				t.Errorf("connected %v after activation", d)
			}
		})
	}
}

// TestLine06Session: just-in-time registration refuses the first connection and
// takes a later one.
func TestLine06Session(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := awsiottest.NewAuthority(t.TempDir(), "plant-ca")
		if err != nil {
			t.Fatal(err)
		}
		id, err := ca.Issue("gateway-1", awsiottest.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, func(cfg *Config, _ *Options) { use(cfg, id) })
		defer r.stop()
		just := authority.New(r.cloud.Registry(), r.cloud.Authority())
		r.cloud.Serve(just)
		if _, err := just.RegisterCA(authority.CA{Certificate: ca.Certificate(), AutoRegister: true}); err != nil {
			t.Fatal(err)
		}
		if err := r.cloud.Registry().AddPolicy("gateways", `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
			"Action":"iot:*","Resource":"*"}}`); err != nil {
			t.Fatal(err)
		}
		r.start()
		time.Sleep(30 * time.Second) // more than three tries
		if h := r.sink.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "known but not active") ||
			!strings.Contains(h[0].Text, "plant-ca") {
			t.Errorf("health %+v", h)
		}
		if err := just.Activate(id.ID, "gateway-1", "gateways"); err != nil { // a backend does so on the event
			t.Fatal(err)
		}
		<-r.links
	})
}

// TestLine14And19Session: a silent connection is kept up by pings.
func TestLine14And19Session(t *testing.T) {
	bubble(t, func(cfg *Config, _ *Options) { cfg.KeepAlive = setting.Duration(30 * time.Second) }, func(r *rig) {
		r.start()
		<-r.links
		time.Sleep(time.Hour)
		if n := r.cloud.Counts().Connects; n != 1 || !r.sink.Link().Connected {
			t.Errorf("%d connections in a silent hour", n)
		}
	})
}

// TestLine28Session: above 100 messages a second AWS discards or refuses them.
// With our limits it has no reason to; with the limits lifted everything arrives
// in the end.
func TestLine28Session(t *testing.T) {
	for _, throttle := range []awsiottest.Throttle{awsiottest.ThrottleDrop, awsiottest.ThrottleRefuse} {
		for _, rate := range []uplink.Rate{{Messages: 80, Bytes: 400 << 10}, {}} {
			t.Run(fmt.Sprintf("throttle %d, rate %v", throttle, rate.Messages), func(t *testing.T) {
				cloudBubble(t, awsiottest.Options{Throttle: throttle}, func(cfg *Config, _ *Options) {
					cfg.Format, cfg.Rate = payload.Flat, rate
				}, func(r *rig) {
					const batches = 1500
					rejected := forwardAll(t, r, batches, 10, 15*time.Minute)
					if (rejected > 0) != (rate.Messages == 0) {
						t.Errorf("%d messages were not taken", rejected)
					}
				})
			})
		}
	}
}

// TestLine29Session: above 512 KiB/s AWS is slow, and loses nothing.
func TestLine29Session(t *testing.T) {
	cloudBubble(t, awsiottest.Options{Throttle: awsiottest.ThrottleDrop}, func(cfg *Config, _ *Options) {
		cfg.Rate.Bytes, cfg.MaxMessage = 0, 50_000
	}, func(r *rig) {
		if rejected := forwardAll(t, r, 2000, 200, 10*time.Minute); rejected > 0 {
			t.Errorf("%d messages were not taken", rejected)
		}
	})
}

// forwardAll forwards a backlog and returns how many messages the cloud did not
// take; every batch must arrive in time.
func forwardAll(t *testing.T, r *rig, batches, points int, within time.Duration) uint64 {
	t.Helper()
	queue := bridgetest.NewQueue()
	for i := range batches {
		queue.Append(bridge.Batch{Device: fmt.Sprint("d", i%10), At: time.Now(), Readings: many("register", points)}, nil)
	}
	forwarder := bridge.NewForwarder(queue, r.sink.Format(), bridge.ForwardConfig{LiveShare: 0.8},
		slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.sink.Run(ctx, forwarder.Serve) }()
	time.Sleep(within)
	synctest.Wait()
	if l := queue.Ledger(); l.Acked.Batches != uint64(batches) || !l.Balanced() {
		t.Errorf("%+v of %d batches", l, batches)
	}
	cancel()
	<-ended
	return r.cloud.Counts().Rejected
}

// TestLine32Session: never more than 8 filters in a SUBSCRIBE, which would end
// the connection.
func TestLine32Session(t *testing.T) {
	bubble(t, nil, func(r *rig) {
		r.start()
		<-r.links
		s := r.current()
		var topics []string
		var mu sync.Mutex
		got := 0
		for i := range 20 {
			topics = append(topics, fmt.Sprint("many/", i))
			s.Handle(topics[i], func(uplink.Inbound) {
				mu.Lock()
				defer mu.Unlock()
				got++
			})
		}
		if err := s.Subscribe(context.Background(), topics...); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if err := r.cloud.Publish(topic, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if n := r.cloud.Counts(); got != 20 || n.Connects != 1 || n.Violations > 0 {
			t.Errorf("%d of 20 messages, %+v", got, n)
		}
	})
}

// TestLine42Session: Basic Ingest reaches its rule; one that does not exist loses
// the readings, and AWS tells us nothing.
func TestLine42Session(t *testing.T) {
	for _, exists := range []bool{true, false} {
		bubble(t, func(cfg *Config, _ *Options) {
			// With the rule's name the topic has 9 slashes and more than 256 bytes.
			cfg.BasicIngest, cfg.Topic = "readings", "a/b/c/d/e/f/g/{gateway}"+strings.Repeat("x", 230)
		}, func(r *rig) {
			var mu sync.Mutex
			var topics []string
			if exists {
				r.cloud.Rule("readings", func(m awsiottest.Message) {
					mu.Lock()
					defer mu.Unlock()
					topics = append(topics, m.Topic)
				})
			}
			if rejected := forwardAll(t, r, 10, 5, time.Minute); rejected > 0 {
				t.Errorf("%d messages were refused", rejected)
			}
			mu.Lock()
			defer mu.Unlock()
			if n := r.cloud.Counts().RuleNotFound; (n == 0) != exists || (len(topics) > 0) != exists {
				t.Errorf("exists %v: the rule got %v, %d were lost", exists, topics, n)
			}
		})
	}
}

// TestLine50Session: a policy that lags. The refused topic waits, the other goes
// on, and all arrives when the policy has taken effect.
func TestLine50Session(t *testing.T) {
	cloudBubble(t, awsiottest.Options{PolicyDelay: 4 * time.Minute}, func(cfg *Config, _ *Options) {
		cfg.Topic = "plant/{device}"
	}, func(r *rig) {
		id, err := r.cloud.Device("gateway-1")
		if err != nil {
			t.Fatal(err)
		}
		closed := rules.Policy{{Actions: []string{"iot:*"}, Resources: []string{"*"}},
			{Deny: true, Actions: []string{"iot:Publish"}, Resources: []string{"topic/plant/d3"}}}
		r.cloud.SetPolicy(id.ID, closed)
		time.Sleep(5 * time.Minute)
		r.cloud.SetPolicy(id.ID, rules.Policy{closed[0]})
		if rejected := forwardAll(t, r, 1000, 5, 20*time.Minute); rejected == 0 {
			t.Error("nothing was refused: the policy had no effect")
		}
		if n := r.cloud.Counts().Connects; n != 1 {
			t.Errorf("%d connections: a refused topic ends none", n)
		}
	})
}
