package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/configs/change"
	"fieldbridge/console"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/socket"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store"
	"fieldbridge/store/state"
)

// gateway is one running bridge: the parts, wired.
type gateway struct {
	config  *configs.Config
	hash    string // of the configuration's content
	log     *slog.Logger
	started time.Time

	queue     *store.Queue
	catalogue *bridge.Catalogue
	collector *bridge.Collector
	forwarder *bridge.Forwarder
	sink      *awsiot.Sink
	modbus    *modbus.Source
	mqtt      *mqtt.Source
	view      *console.View
	listen    chan string     // one value: where the console is to listen from now on
	change    *change.Changer // nil if no file is followed
	logging   *logging        // nil if it does not change
}

// Of the five seconds that a stop may take, so much goes to sending what is
// fresh, and so much to each later step.
const (
	drainTimeout = 2 * time.Second
	stopTimeout  = 4500 * time.Millisecond
)

// newGateway opens the queue and builds the parts; nothing else runs before
// [gateway.run].
func newGateway(config *configs.Config, hash string, log *slog.Logger) (*gateway, error) {
	g := &gateway{config: config, hash: hash, log: log, started: time.Now(), listen: make(chan string, 1)}
	queue, err := store.Open(config.Store, log.With("part", "queue"))
	if err != nil {
		return nil, err
	}
	g.queue = queue
	if err := g.build(); err != nil {
		queue.Close()
		return nil, err
	}
	return g, nil
}

func (g *gateway) build() error {
	state, err := state.Open(string(g.config.Store.Dir))
	if err != nil {
		return err
	}
	catalogue := new(bridge.Catalogue)
	g.catalogue = catalogue
	g.modbus, err = modbus.New(g.config.Southbound.Modbus, modbus.Options{Log: g.log.With("part", "modbus"), Catalogue: catalogue, State: state})
	if err != nil {
		return fmt.Errorf("southbound.modbus: %w", err)
	}
	g.mqtt, err = mqtt.New(g.config.Southbound.MQTT, mqtt.Options{Gateway: g.config.Gateway, Log: g.log.With("part", "mqtt"), Catalogue: catalogue, State: state})
	if err != nil {
		return fmt.Errorf("southbound.mqtt: %w", err)
	}
	clock, all := new(bridge.Clock), field{g.modbus, g.mqtt}
	g.sink, err = awsiot.New(g.config.Northbound.AWSIoT, awsiot.Options{
		Gateway: g.config.Gateway, Run: g.queue.Run(), Version: version, ConfigHash: g.hash, Labels: g.config.Labels,
		Dial: socket.Dial, Log: g.log.With("part", "uplink"), Notices: g.queue, Catalogue: catalogue, State: state,
		Writer: all, Reader: all, Pacer: all, Synced: clock.Synced, Emit: func(b bridge.Batch, safe func(error)) { g.collector.Emit(b, safe) }, Report: g.shadowReport, Health: func() []bridge.Condition { return g.view.Conditions() },
	})
	if err != nil {
		return fmt.Errorf("northbound.awsiot: %w", err)
	}
	g.collector = bridge.NewCollector(g.queue, g.sink.Format(), catalogue, clock.Synced, g.log)
	g.forwarder = bridge.NewForwarder(g.queue, g.sink.Format(), forwardConfig(g.config), g.log.With("part", "uplink"))
	g.view = &console.View{
		Metrics: []bridge.Observable{g.queue, g.collector, g.forwarder, g.sink, g.modbus, g.mqtt, processMetrics{g.started}},
		Health:  []bridge.HealthReporter{g.queue, g.sink, g.modbus, g.mqtt},
		Status:  func() any { return g.status() },
		Device:  g.values,
	}
	return nil
}

// run runs the gateway until ctx ends, then stops it: the sources end, what
// they read is committed, what is fresh is sent if the cloud is there, and the
// connection is closed with a goodbye.
func (g *gateway) run(ctx context.Context) error {
	g.log.Info("gateway started", "gateway", g.config.Gateway, "run", g.queue.Run(), "version", version, "queue", string(g.config.Store.Dir))
	side, stopSide := context.WithCancel(context.WithoutCancel(ctx)) // console, control socket
	up, stopUp := context.WithCancel(context.WithoutCancel(ctx))     // the uplink
	var sideGroup, upGroup sync.WaitGroup

	sideGroup.Go(func() { g.serveConsole(side) })
	sideGroup.Go(func() { g.serveControl(side) })
	sideGroup.Go(func() { g.commitOnPowerFail(side) })
	if g.change != nil {
		sideGroup.Go(func() { g.change.Run(side) })
		sideGroup.Go(func() { g.reloadOnHangup(side) })
	}
	upGroup.Go(func() {
		serve := func(ctx context.Context, link bridge.Link) {
			g.collector.SendAll()
			g.forwarder.Serve(ctx, link)
		}
		if err := g.sink.Run(up, serve); err != nil && up.Err() == nil {
			g.log.Error("uplink ended", "err", err)
		}
	})
	g.collector.Run(ctx, g.modbus, g.mqtt) // returns when ctx ends
	<-ctx.Done()

	g.log.Info("gateway stopping")
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := g.queue.Commit(deadline); err != nil {
		g.log.Error("commit at stop failed", "err", err)
	}
	drain, cancelDrain := context.WithTimeout(deadline, drainTimeout)
	g.forwarder.Drain(drain)
	cancelDrain()
	stopUp()
	stopSide()
	waitUntil(deadline, &upGroup)
	waitUntil(deadline, &sideGroup)
	err := g.queue.Close()
	l := g.queue.Ledger()
	g.log.Info("gateway stopped", "acknowledged", l.Acked.Readings, "waiting", l.Waiting.Readings, "dropped", l.Dropped.Readings)
	return err
}

// waitUntil waits for wg, but not longer than ctx.
func waitUntil(ctx context.Context, wg *sync.WaitGroup) {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
