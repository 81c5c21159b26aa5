package gateway

import (
	"context"
	"errors"
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/gateway/change"
	"fieldbridge/northbound/awsiot/payload"
)

// apply makes a running gateway another one: devices, sensors and sessions that
// are the same go on undisturbed. On an error nothing has changed.
func (g *Gateway) apply(old, new *configs.Config, hash string) (err error) {
	if key := fixedKey(old, new); key != "" {
		return fmt.Errorf("%s changes only with a restart of the gateway: restart it, or leave %s as it was", key, key)
	}
	was := g.sink.ConfigHash()
	g.sink.SetConfigHash(hash) // before the parts change what the catalogue tells
	defer func() {
		if err != nil {
			g.sink.SetConfigHash(was)
		}
	}()
	parts := []func(c *configs.Config) error{
		func(c *configs.Config) error { return g.modbus.Apply(c.Southbound.Modbus) },
		func(c *configs.Config) error {
			g.mqtt.SetMemory(limitMemory(int64(c.Memory), g.log))
			return g.mqtt.Apply(c.Southbound.MQTT)
		},
		func(c *configs.Config) error { g.forwarder.Apply(forwardConfig(c)); return nil }, // before a new connection
		func(c *configs.Config) error { return g.sink.Apply(c.Northbound.AWSIoT, c.Labels) },
	}
	for i, part := range parts {
		err := part(new)
		if err == nil {
			continue
		}
		for _, done := range parts[:i+1] {
			err = errors.Join(err, done(old))
		}
		return err
	}
	g.logging.Apply(new.Log)
	if !old.Console.Equal(new.Console) {
		g.console.move(new.Console)
	}
	return g.queue.Apply(new.Store) // refuses another folder alone, see above
}

// fixedKey returns a key that differs and cannot change while the gateway runs.
func fixedKey(old, new *configs.Config) string {
	switch {
	case old.Gateway != new.Gateway:
		return "gateway"
	case old.Store.Dir != new.Store.Dir:
		return "store.dir"
	}
	return ""
}

// forwardConfig takes what the forwarder needs.
func forwardConfig(c *configs.Config) bridge.ForwardConfig {
	north := &c.Northbound.AWSIoT
	return bridge.ForwardConfig{
		Linger: north.Linger.D(), OldestFirst: north.Order == payload.OldestFirst, LiveShare: float64(north.LiveShare),
	}
}

// vital tells how the gateway is doing, for trials.
func (g *Gateway) vital() change.Vital {
	ledger := g.queue.Ledger()
	v := change.Vital{Connected: g.sink.Link().Connected, Acked: ledger.Acked.Batches, Waiting: ledger.Waiting.Batches,
		Good: make(map[string]int)}
	for _, source := range []bridge.DeviceReporter{g.modbus, g.mqtt} {
		for _, d := range source.Devices() {
			v.Good[d.Device] = d.Good
		}
	}
	return v
}

// hangup reloads at SIGHUP.
func (g *Gateway) hangup(ctx context.Context) {
	// The changer logs what it does and why it does not.
	if text, err := g.change.Reload(ctx, 0, 1); err == nil {
		g.log.Info("reloaded at SIGHUP", "outcome", text)
	}
}
