// Package gateway is one running bridge: the parts, wired, changed while they run,
// and stopped. It knows every adapter and decides nothing of its own: what a part
// may do is the part's, what a user asks for comes by gateway/control.
//
//	sources (modbus, mqtt) -> collector -> queue -> forwarder -> sink (awsiot)
//
// Beside that way stand the console, the control socket and what follows the
// configuration file.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console"
	"fieldbridge/gateway/change"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store"
	"fieldbridge/store/state"
)

// Gateway is one running bridge: the parts, wired.
type Gateway struct {
	name    string
	dir     string // of the queue
	version string
	logging *Logging
	log     *slog.Logger
	started time.Time

	queue     *store.Queue
	state     *state.Files
	catalogue *bridge.Catalogue
	collector *bridge.Collector
	forwarder *bridge.Forwarder
	sink      *awsiot.Sink
	modbus    *modbus.Source
	mqtt      *mqtt.Source
	view      *console.View
	console   *movable
	change    *change.Changer
	hangups   <-chan os.Signal
}

// Options say how a gateway runs, beside its configuration.
type Options struct {
	File    string // the configuration, which the gateway follows
	Name    string // of the gateway in a fleet file; may be empty
	Version string // of the program, for people
	Logging *Logging
	// Hangups are signals to reload. Whoever builds the gateway asks for them before
	// it is built, so that none ends the process.
	Hangups <-chan os.Signal
}

// Of the five seconds that a stop may take, so much goes to sending what is
// fresh, and so much to all that has a deadline.
const (
	drainTimeout = 2 * time.Second
	stopTimeout  = 4500 * time.Millisecond
)

// Load chooses what the gateway of a file starts with: the file's configuration, or
// the last good one. name is that of the gateway in a fleet file; may be empty. The
// error is the file's.
func Load(ctx context.Context, file, name string) (change.Started, error) {
	return change.Start(ctx, file, name, func(dir string) (bridge.State, error) { return state.Open(dir) })
}

// New opens the queue and builds the parts of a gateway that starts with s;
// nothing but the queue runs before [Gateway.Run]. It keeps nothing of s that is
// as large as the configuration.
func New(s change.Started, o Options) (*Gateway, error) {
	config := &s.Config
	g := &Gateway{name: config.Gateway, dir: string(config.Store.Dir), version: o.Version,
		logging: o.Logging, log: o.Logging.Logger, started: time.Now(), hangups: o.Hangups}
	g.hide(s.Hidden)
	queue, err := store.Open(config.Store, g.log.With("part", "queue"))
	if err != nil {
		return nil, s.Hidden.Error(err)
	}
	g.queue = queue
	if err := g.build(s, o); err != nil {
		return nil, s.Hidden.Error(errors.Join(err, queue.Close()))
	}
	return g, nil
}

func (g *Gateway) build(s change.Started, o Options) error {
	config := &s.Config
	saved, err := state.Open(g.dir)
	if err != nil {
		return err
	}
	g.state = saved
	g.catalogue = new(bridge.Catalogue)
	g.modbus, err = modbus.New(config.Southbound.Modbus,
		modbus.Options{Log: g.log.With("part", "modbus"), Catalogue: g.catalogue, State: saved})
	if err != nil {
		return fmt.Errorf("southbound.modbus: %w", err)
	}
	g.mqtt, err = mqtt.New(config.Southbound.MQTT,
		mqtt.Options{Gateway: g.name, Log: g.log.With("part", "mqtt"), Catalogue: g.catalogue, State: saved,
			Memory: limitMemory(int64(config.Memory), g.log)})
	if err != nil {
		return fmt.Errorf("southbound.mqtt: %w", err)
	}
	clock, all := new(bridge.Clock), devices{g.modbus, g.mqtt}
	g.sink, err = awsiot.New(config.Northbound.AWSIoT, awsiot.Options{
		Gateway: g.name, Run: g.queue.Run(), Version: g.version, ConfigHash: s.Hash, Labels: config.Labels,
		Log: g.log.With("part", "uplink"), Notices: g.queue, Catalogue: g.catalogue, State: saved,
		Writer: all, Reader: all, Pacer: all, Synced: clock.Synced,
		Emit:   func(b bridge.Batch, safe func(error)) { g.collector.Emit(b, safe) },
		Report: func() map[string]any { return g.logging.shown(shadowReport(g.Status())).(map[string]any) },
		Health: func() []condition.Condition { return g.view.Conditions() },
	})
	if err != nil {
		return fmt.Errorf("northbound.awsiot: %w", err)
	}
	g.collector = bridge.NewCollector(g.queue, g.sink.Format(), g.catalogue, clock.Synced, g.log)
	g.forwarder = bridge.NewForwarder(g.queue, g.sink.Format(), forwardConfig(config), g.log.With("part", "uplink"))
	g.change = change.New(s, change.Options{File: o.File, Gateway: o.Name, Apply: g.apply, Hide: g.hide, Vital: g.vital,
		State: saved, Log: g.log.With("part", "configuration")})
	g.view = &console.View{
		Metrics: []bridge.Observable{g.queue, g.collector, g.forwarder, g.sink, g.modbus, g.mqtt,
			process{g.started, g.version}},
		Status: g.shownStatus,
		Device: func(name string) (any, error) { return g.values(name) },
	}
	for _, part := range []condition.Reporter{g.queue, saved, g.sink, g.modbus, g.mqtt, g.change} {
		g.view.Health = append(g.view.Health, shownReporter{part, g.logging})
	}
	g.console = &movable{view: g.view, listen: make(chan console.Config, 1), log: g.log}
	g.console.move(config.Console)
	return nil
}

// Run runs the gateway until ctx ends, then stops it: the sources end, what they
// read is committed, what is fresh is sent if the cloud is there, and the
// connection is closed with a goodbye. When Run returns, nothing of the gateway
// runs any more.
func (g *Gateway) Run(ctx context.Context) error {
	g.log.Info("gateway started", "gateway", g.name, "run", g.queue.Run(), "version", g.version, "queue", g.dir)
	ctx, stopAll := context.WithCancelCause(ctx)
	defer stopAll(nil)
	side, stopSide := context.WithCancel(context.WithoutCancel(ctx)) // console, control socket, signals
	up, stopUp := context.WithCancel(context.WithoutCancel(ctx))     // the uplink
	defer stopSide()
	defer stopUp()
	var sides, uplink sync.WaitGroup

	sides.Go(func() { g.console.serve(side) })
	sides.Go(func() { g.serveControl(side, stopAll) })
	sides.Go(func() { g.change.Run(side) })
	sides.Go(func() { condition.Follow(side, g.view.Conditions, condition.Log(g.log)) })
	sides.Go(func() { onEach(side, g.hangups, func() { g.hangup(side) }) })
	sides.Go(func() { onSignal(side, syscall.SIGPWR, func() { g.powerFails(side) }) })
	uplink.Go(func() {
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
	uplink.Wait()
	sides.Wait()
	err := errors.Join(g.queue.Close(), g.state.Close())
	if errors.Is(context.Cause(ctx), errFolderTaken) {
		err = errors.Join(errFolderTaken, err)
	}
	l := g.queue.Ledger()
	g.log.Info("gateway stopped", "acknowledged", l.Acked.Readings, "waiting", l.Waiting.Readings, "dropped",
		l.Dropped.Readings)
	return err
}

// powerFails commits at once: the init system says that the power goes (SIGPWR,
// from a UPS daemon).
func (g *Gateway) powerFails(ctx context.Context) {
	g.log.Warn("power is failing, committing")
	if err := g.queue.Commit(ctx); err != nil {
		g.log.Error("commit failed", "err", err)
	}
}

// onSignal calls do at each signal s, until ctx ends.
func onSignal(ctx context.Context, s os.Signal, do func()) {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, s)
	defer signal.Stop(arrived)
	onEach(ctx, arrived, do)
}

// onEach calls do for each signal that arrives, until ctx ends.
func onEach(ctx context.Context, arrived <-chan os.Signal, do func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-arrived:
			do()
		}
	}
}
