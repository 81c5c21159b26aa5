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
	"runtime/debug"
	"sync"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/budget"
	"fieldbridge/condition"
	"fieldbridge/console"
	"fieldbridge/console/diary"
	"fieldbridge/gateway/change"
	"fieldbridge/gateway/power"
	"fieldbridge/gateway/recent"
	"fieldbridge/gateway/service"
	"fieldbridge/gateway/shed"
	"fieldbridge/gateway/support"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/notify"
	"fieldbridge/pause"
	"fieldbridge/release"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store"
	"fieldbridge/store/disk"
	"fieldbridge/store/state"
	"fieldbridge/vitals"
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
	recent    *recent.Readings
	forwarder *bridge.Forwarder
	sink      *awsiot.Sink
	modbus    *modbus.Source
	mqtt      *mqtt.Source
	vitals    *vitals.Source
	view      *console.View
	diary     *diary.Diary
	console   *movable
	change    *change.Changer
	flight    support.Flight
	service   *service.Service
	power     power.Watch
	shed      shed.Watch
	releases  releases
	hangups   <-chan os.Signal
	powers    <-chan os.Signal
	again     restart
	usual     chan struct{} // closed when it is as it usually is, after its start
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
	// Powers are [power.Signals], asked for as early.
	Powers <-chan os.Signal
	// Releases are those beside the packaged program; nil where none are kept.
	Releases *release.Folder
	// Notify is told how the gateway is; nil without a service manager.
	Notify *notify.Socket
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
		logging: o.Logging, log: o.Logging.Logger, started: time.Now(), hangups: o.Hangups, powers: o.Powers,
		again:  make(restart, 1),
		flight: support.Flight{Recorder: blackbox.New(), Lines: &o.Logging.lines, Log: o.Logging.Logger}}
	g.hide(s.Hidden)
	sensors := limitMemory(config, g.log)
	watch := service.Options{Log: g.log, Disk: func() { disk.Answers(g.dir) }}
	if o.Notify != nil {
		watch.Manager = o.Notify
	}
	g.service = service.New(watch)
	starting, started := context.WithCancel(context.Background())
	defer started()
	go g.service.Start(starting)
	onDisk := func(name string) bridge.Pulse { return g.service.Board.OnDisk(name) }
	if err := disk.Allowed(g.dir); err != nil { // the queue would take what it may not read for damaged
		return nil, s.Hidden.Error(err)
	}
	queue, err := store.OpenWatched(config.Store, g.log.With("part", "queue"), onDisk)
	if err != nil {
		return nil, s.Hidden.Error(err)
	}
	g.queue = queue
	queue.LookWith(disk.PlaceOf)
	g.power.Queue, g.power.Log = queue, g.log.With("part", "power")
	if err := g.build(s, o, sensors); err != nil {
		return nil, s.Hidden.Error(errors.Join(err, queue.Close()))
	}
	g.collector.Watched(g.service.Board.Crossing("collector", time.Minute))
	g.forwarder.Watched(onDisk)
	return g, nil
}

// build makes the other parts; sensors is how much memory they may make it keep.
func (g *Gateway) build(s change.Started, o Options, sensors int64) error {
	config := &s.Config
	saved, err := state.Open(g.dir)
	if err != nil {
		return err
	}
	g.state = saved
	g.queue.CountWith(saved.Written)
	g.catalogue = new(bridge.Catalogue)
	g.queue.ThinBy(g.catalogue)
	g.modbus, err = modbus.New(config.Southbound.Modbus,
		modbus.Options{Log: g.log.With("part", "modbus"), Catalogue: g.catalogue, State: saved, Recorder: g.flight.Recorder,
			Pulses: func(name string) bridge.Pulse { return g.service.Board.Loop(name) }})
	if err != nil {
		return fmt.Errorf("southbound.modbus: %w", err)
	}
	clock := new(bridge.Clock)
	g.mqtt, err = mqtt.New(config.Southbound.MQTT,
		mqtt.Options{Gateway: g.name, Log: g.log.With("part", "mqtt"), Catalogue: g.catalogue, State: saved,
			Synced: clock.Synced,
			Memory: sensors, Recorder: g.flight.Recorder})
	if err != nil {
		return fmt.Errorf("southbound.mqtt: %w", err)
	}
	g.recent = recent.New(sensors / 4)
	all := devices{g.modbus, g.mqtt}
	g.change = change.New(s, change.Options{File: o.File, Gateway: o.Name, Apply: g.apply, Hide: g.hide, Vital: g.vital,
		Prove: prove(g), State: saved, Log: g.log.With("part", "configuration")})
	north := awsiot.Options{
		Gateway: g.name, Run: g.queue.Run(), Version: g.version, ConfigHash: s.Hash, Labels: config.Labels,
		Log: g.log.With("part", "uplink"), Notices: g.queue, Catalogue: g.catalogue, State: saved,
		Writer: all, Reader: all, Pacer: all, Switched: g.modbus.SetOff, Synced: clock.Synced,
		Emit: func(b bridge.Batch, safe func(error)) {
			g.recent.See(&b)
			g.collector.Emit(b, safe)
		},
		Report: func() map[string]any { return g.logging.shown(shadowReport(g.Status())).(map[string]any) },
		Health: func() []condition.Condition { return g.view.Conditions() }, Recorder: g.flight.Recorder,
		Identity: g.dir, HoldRenewal: g.holdRenewal,
	}
	g.releases.Folder, g.releases.ready, g.releases.bearing = o.Releases, g.modbus.Polls(), g.bearing
	g.releases.leave, g.releases.log = g.again.ask, g.log
	g.releases.within = func() time.Duration { return g.change.Config().Updates.Trial.D() }
	g.releases.hold = g.holdRelease
	g.usual = make(chan struct{})
	takeJobs(g, &north)
	g.sink, err = awsiot.New(config.Northbound.AWSIoT, north)
	if err != nil {
		return fmt.Errorf("northbound.awsiot: %w", err)
	}
	g.collector = bridge.NewCollector(g.queue, g.sink.Format(), g.catalogue, clock.Synced, g.log)
	g.forwarder = bridge.NewForwarder(g.queue, g.sink.Format(), forwardConfig(config), g.log.With("part", "uplink"))
	g.forwarder.Timed(pause.AfterFunc)
	g.diary = diary.Open(saved, g.version, g.log)
	g.view = &console.View{
		Metrics: []bridge.Observable{g.queue, g.collector, g.forwarder, g.sink, g.modbus, g.mqtt, g.recent,
			process{g.started, g.version}},
		Status: g.shownStatus,
		Device: func(name string) (any, error) { return g.values(name) },
		Page:   g.page,
	}
	for _, part := range []condition.Reporter{g.queue, saved, g.sink, g.modbus, g.mqtt, g.change,
		g.service, &g.power, &g.shed} {
		g.view.Health = append(g.view.Health, shownReporter{part, g.logging})
	}
	g.flight.Conditions, g.flight.Devices, g.flight.State = g.view.Conditions, all.Devices, saved
	g.shed.Holders = []shed.Holder{g.mqtt, g.recent, g.flight.Recorder, g.forwarder}
	g.shed.Measure, g.shed.Collect = budget.NewGauge().Read, debug.FreeOSMemory
	g.vitals = vitals.New(config.Health, g.figures, g.catalogue)
	g.console = &movable{view: g.view, listen: make(chan console.Config, 1), log: g.log}
	g.console.move(config.Console)
	g.view.SetHealthz(config.Console.Healthz)
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
	sides.Go(func() { g.again.await(side, stopAll) })
	sides.Go(func() { g.releases.judge(side) })
	sides.Go(func() { awaitUsual(side, g.modbus.Polls(), g.vital, g.usual) })
	sides.Go(func() { condition.Follow(side, g.view.Conditions, condition.Log(g.log), g.diary.Changed) })
	sides.Go(func() { g.flight.Watch(side) })
	sides.Go(func() { g.shed.Run(side) })
	sides.Go(func() { onEach(side, g.hangups, func() { g.hangup(side) }) })
	sides.Go(func() { g.power.Run(side, g.powers) })
	sides.Go(func() { g.service.Run(side, g.modbus.Polls(), g.sentence) })
	uplink.Go(func() {
		serve := func(ctx context.Context, link bridge.Link) {
			g.collector.SendAll()
			g.forwarder.Serve(ctx, link)
		}
		if err := g.sink.Run(up, serve); err != nil && up.Err() == nil {
			g.log.Error("uplink ended", "err", err)
		}
	})
	g.collector.Run(ctx, recent.Watched{Source: g.modbus, Readings: g.recent},
		recent.Watched{Source: g.mqtt, Readings: g.recent},
		recent.Watched{Source: g.vitals, Readings: g.recent}) // returns when ctx ends
	<-ctx.Done()

	g.log.Info("gateway stopping")
	if errors.Is(context.Cause(ctx), ErrRestart) {
		g.service.Restarting()
	} else {
		g.service.Stopping()
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var writing sync.WaitGroup
	writing.Go(func() { // a disk may be slow and the cloud may say nothing: neither waits for the other
		if err := g.queue.Commit(deadline); err != nil {
			g.log.Error("commit at stop failed", "err", err)
		}
	})
	drain, cancelDrain := context.WithTimeout(deadline, drainTimeout)
	g.forwarder.Drain(drain)
	cancelDrain()
	stopUp()
	stopSide()
	uplink.Wait()
	sides.Wait()
	writing.Wait()
	g.diary.Close()
	err := errors.Join(g.queue.Close(), g.state.Close())
	if cause := context.Cause(ctx); errors.Is(cause, errFolderTaken) || errors.Is(cause, ErrRestart) {
		err = errors.Join(cause, err)
	}
	l := g.queue.Ledger()
	g.log.Info("gateway stopped", "acknowledged", l.Acked.Readings, "waiting", l.Waiting.Readings, "dropped",
		l.Dropped.Readings)
	return err
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
