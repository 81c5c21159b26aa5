package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"fieldbridge/configs/change"
)

func runRun(ctx context.Context, args []string, _, stderr io.Writer) int {
	flags := newFlags("run", stderr)
	gateway := flags.String("gateway", "", "the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	if len(rest) == 0 {
		fmt.Fprintln(stderr, "fieldbridge run: which file? 'fieldbridge run FILE'")
		return exitUsage
	}
	startSingle()
	settle := saveMemory()
	started, err := change.Start(rest[0], *gateway, openState)
	debug.FreeOSMemory() // of the file's tree, before the gateway is built
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	logging := newLogging(stderr, started.Config.Log)
	log := logging.logger
	if started.FellBack != "" {
		log.Error("the last good configuration is used instead of the file", "file", rest[0], "why", started.FellBack)
	}
	for _, w := range started.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
	config, hash := started.Config, started.Hash
	g, err := newGateway(&config, hash, log)
	if err == nil {
		g.logging = logging
		err = g.follow(rest[0], *gateway, started)
	}
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge: %v\n", err)
		return exitFailed
	}
	// The points are most of a large configuration, and the parts have their own.
	started = change.Started{}
	config.Southbound.Modbus.Devices = nil
	settle()
	releasePages()
	governed, stop := context.WithCancel(ctx)
	var governing sync.WaitGroup
	governing.Go(func() { govern(governed, g.queue.Status, log) })
	err = g.run(ctx)
	stop()
	governing.Wait()
	if err != nil {
		log.Error("stop was not clean", "err", err)
		return exitFailed
	}
	return exitDone
}

// saveMemory makes the collector keep the heap small: a gateway has little
// memory and, between two polls, time. Reading a large configuration takes many
// times its size for a moment; settle is called when that is over.
func saveMemory() (settle func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(10)
	return func() {
		debug.SetGCPercent(75)
		debug.FreeOSMemory()
	}
}

// commitOnPowerFail commits at once when the init system says that the power
// goes (SIGPWR, from a UPS daemon).
func (g *gateway) commitOnPowerFail(ctx context.Context) {
	power := make(chan os.Signal, 1)
	signal.Notify(power, syscall.SIGPWR)
	defer signal.Stop(power)
	for {
		select {
		case <-ctx.Done():
			return
		case <-power:
			g.log.Warn("power is failing, committing")
			if err := g.queue.Commit(ctx); err != nil {
				g.log.Error("commit failed", "err", err)
			}
		}
	}
}
