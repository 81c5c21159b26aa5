package gateway

import (
	"context"
	"errors"
	"fmt"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/configs"
	"fieldbridge/gateway/change"
	"fieldbridge/gateway/gate"
	"fieldbridge/northbound/awsiot/payload"
)

// apply makes a running gateway another one: devices, sensors and sessions that
// are the same go on undisturbed. On an error nothing has changed.
func (g *Gateway) apply(old, new *configs.Config, hash string) (err error) {
	g.service.Reload(func() { err = g.applyParts(old, new, hash) })
	return err
}

func (g *Gateway) applyParts(old, new *configs.Config, hash string) (err error) {
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
			g.mqtt.SetMemory(limitMemory(c, g.log))
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
	devices, _, _ := g.catalogue.Snapshot()
	g.recent.Keep(devices)
	g.vitals.Apply(new.Health)
	g.logging.Apply(new.Log)
	g.view.SetHealthz(new.Console.Healthz)
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
		Good: make(map[string]int), Unread: make(map[string]int), Bad: g.badPoints, Conditions: g.view.Conditions()}
	for _, source := range []bridge.DeviceReporter{g.modbus, g.mqtt} {
		for _, d := range source.Devices() {
			v.Good[d.Device] = d.Good
			if d.Unread > 0 {
				v.Unread[d.Device] = d.Unread
			}
		}
	}
	return v
}

// bearing is how the gateway is, for the trial of a release.
func (g *Gateway) bearing() gate.State {
	vital, ledger := g.vital(), g.queue.Ledger()
	s := gate.State{Connected: vital.Connected, Born: g.sink.Born(), Writable: true,
		Acked: ledger.Acked.Batches > 0 || ledger.Accepted.Batches == 0}
	for _, c := range g.queue.Health() {
		s.Writable = s.Writable && c.Code != condition.QueueUnwritable.Code
	}
	for _, n := range vital.Good {
		s.Good += n
	}
	for _, b := range g.modbus.Buses() {
		if b.Down.IsZero() && b.Silent.IsZero() {
			s.Buses = append(s.Buses, b.Bus)
		}
	}
	return s
}

// badPoints returns the points of a device whose newest reading is bad.
func (g *Gateway) badPoints(device string) (names []string) {
	for _, p := range g.recent.Device(device) {
		if !p.Value.Good() {
			names = append(names, p.Name)
		}
	}
	return names
}

// hangup reloads at SIGHUP.
func (g *Gateway) hangup(ctx context.Context) {
	g.service.Reload(func() {
		// The changer logs what it does and why it does not.
		if text, err := g.change.Reload(ctx, 0, 1); err == nil {
			g.log.Info("reloaded at SIGHUP", "outcome", text)
		}
	})
}
