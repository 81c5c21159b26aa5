package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/configs/change"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
	"fieldbridge/store/state"
)

// runReload asks a running gateway to read its file again.
func runReload(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("reload", stderr)
	confirm := flags.String("confirm", "0", "take the change back unless the link and the points are well after this `TIME`, as 5m")
	good := flags.String("good", "100%", "the `SHARE` of the points that were good and must be good again")
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	var share awsiot.Share
	var wait setting.Duration
	if err := errors.Join(wait.UnmarshalText([]byte(*confirm)), share.UnmarshalText([]byte(*good))); err != nil {
		fmt.Fprintf(stderr, "fieldbridge reload: %v\n", err)
		return exitUsage
	}
	dir, err := queueDir(rest)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	query := url.Values{"confirm": {wait.D().String()}, "good": {strconv.FormatFloat(float64(share), 'g', -1, 64)}}
	answer, err := controlDo(ctx, dir, http.MethodPost, "/reload?"+query.Encode(), nil)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge reload: %v\n", err)
		if errors.Is(err, errNotRunning) {
			fmt.Fprintln(stderr, "name the configuration that it runs, or its queue directory: fieldbridge reload FILE")
		}
		return exitFailed
	}
	fmt.Fprintln(stdout, strings.TrimSpace(string(answer)))
	return exitDone
}

// openState opens the state of a queue's folder, for [change.Start].
func openState(dir string) (bridge.State, error) { return state.Open(dir) }

// follow makes g change with its file.
func (g *gateway) follow(file, name string, started change.Started) error {
	state, err := state.Open(string(g.config.Store.Dir))
	if err != nil {
		return err
	}
	g.change = change.New(started, change.Options{
		File: file, Gateway: name, Apply: g.apply, Vital: g.vital, State: state, Log: g.log.With("part", "configuration"),
	})
	g.view.Health = append(g.view.Health, g.change)
	return nil
}

// apply makes a running gateway another one: devices, sensors and sessions that
// are the same go on undisturbed.
func (g *gateway) apply(old, new *configs.Config, hash string) (err error) {
	if section := fixedSection(old, new); section != "" {
		return fmt.Errorf("%s changes only with a restart of the gateway: restart it, or leave %s as it was", section, section)
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
		func(c *configs.Config) error { return g.mqtt.Apply(c.Southbound.MQTT) },
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
	if g.logging != nil {
		g.logging.apply(new.Log)
	}
	if old.Console != new.Console {
		g.moveConsole(new.Console.Listen)
	}
	return g.queue.Apply(new.Store) // refuses another folder alone, see above
}

// fixedSection returns a section or key that differs and can't change while running.
func fixedSection(old, new *configs.Config) string {
	sections := []struct {
		name     string
		old, new any
	}{
		{"gateway", old.Gateway, new.Gateway}, {"store.dir", old.Store.Dir, new.Store.Dir},
	}
	for _, s := range sections {
		if !reflect.DeepEqual(s.old, s.new) {
			return s.name
		}
	}
	return ""
}

// forwardConfig takes what the forwarder needs.
func forwardConfig(c *configs.Config) bridge.ForwardConfig {
	north := &c.Northbound.AWSIoT
	return bridge.ForwardConfig{Linger: north.Linger.D(), OldestFirst: north.Order == awsiot.OldestFirst, LiveShare: float64(north.LiveShare)}
}

// vital tells how the gateway is doing, for trials.
func (g *gateway) vital() change.Vital {
	ledger := g.queue.Ledger()
	v := change.Vital{Connected: g.sink.Link().Connected, Acked: ledger.Acked.Batches, Waiting: ledger.Waiting.Batches, Good: make(map[string]int)}
	for _, source := range []bridge.DeviceReporter{g.modbus, g.mqtt} {
		for _, d := range source.Devices() {
			v.Good[d.Device] = d.Good
		}
	}
	return v
}

// reloadOnHangup reloads at SIGHUP until ctx ends.
func (g *gateway) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			// The changer logs what it does and why it does not.
			if text, err := g.change.Reload(0, 1); err == nil {
				g.log.Info("reloaded at SIGHUP", "outcome", text)
			}
		}
	}
}

// controlHandler answers what the console answers and, on the control socket
// alone, reloads, turns commands off and sends requests over Modbus buses.
func (g *gateway) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", g.view.Handler())
	mux.HandleFunc("POST /modbus", g.serveModbus)
	mux.HandleFunc("POST /queue", g.serveQueue)
	mux.HandleFunc("GET /sensors", g.serveSensors)
	mux.HandleFunc("POST /reload", g.serveReload)
	mux.HandleFunc("/commands", g.serveCommands)
	return mux
}

func (g *gateway) serveReload(w http.ResponseWriter, r *http.Request) {
	if g.change == nil {
		http.Error(w, "this gateway follows no file: it is part of a demo", http.StatusConflict)
		return
	}
	wait, err1 := time.ParseDuration(r.FormValue("confirm"))
	share, err2 := strconv.ParseFloat(r.FormValue("good"), 64)
	if err := errors.Join(err1, err2); err != nil || wait < 0 || share < 0 || share > 1 {
		http.Error(w, "confirm is a duration, good a share", http.StatusBadRequest)
		return
	}
	text, err := g.change.Reload(wait, share)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	fmt.Fprintln(w, text)
}
