package mqtt

import (
	"context"
	"slices"
	"sync/atomic"

	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/broker"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/site"
)

// traffic is what both ways have in common.
type traffic interface {
	Run(ctx context.Context, ingest inlet.Ingest)
	Publish(topic string, payload []byte) // does not wait
	Health() []condition.Condition
}

// way is how the messages of a broker of the configuration come: one of embedded
// and site is not nil, and is the traffic.
type way struct {
	traffic
	config   inlet.Broker
	embedded *broker.Broker
	site     *site.Client
	router   atomic.Pointer[router]
	stop     context.CancelFunc // guarded by the source's mu; nil while it does not run
	ended    chan struct{}      // guarded by the source's mu; closed when it has ended
}

// newWay makes the way of a broker; o says what the gateway lends.
func newWay(name string, config inlet.Broker, o *Options) (*way, error) {
	b := &way{config: config}
	if len(config.URL) > 0 {
		if b.site = site.New(name, config, o.Gateway, o.Log, o.State); o.Guest {
			b.site = site.Guest(name, config, o.Gateway, o.Log)
		}
		b.site.Tape = o.Recorder.Tape("mqtt "+name, config.URL.String())
		b.traffic = b.site
		return b, nil
	}
	var err error
	if b.embedded, err = broker.New(name, config, o.Log); err == nil {
		b.embedded.State = o.State
		b.embedded.Tape = o.Recorder.Tape("mqtt "+name, "mqtt")
	}
	b.traffic = b.embedded
	return b, err
}

// setRules gives b those of the rules that are for it, and returns them.
func (b *way) setRules(name string, all []*rule, ds *devices, memory int64) []*rule {
	var rules []*rule
	for _, r := range all {
		if r.config.Broker == name {
			rules = append(rules, r)
		}
	}
	if now := b.router.Load(); now != nil && slices.Equal(now.rules, rules) {
		now.bytes.Resize(memory)
		return rules // what was seen stays
	}
	b.router.Store(newRouter(name, rules, ds, b.Publish, memory))
	if b.site != nil {
		b.site.Want(subscriptions(rules))
	}
	return rules
}
