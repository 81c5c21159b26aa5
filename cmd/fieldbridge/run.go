package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/budget"
	"fieldbridge/gateway"
	"fieldbridge/gateway/power"
	"fieldbridge/notify"
	"fieldbridge/pause"
	"fieldbridge/plain"
	"fieldbridge/release"
)

func runCommand() *cobra.Command {
	c := newCommand("run FILE [--gateway NAME]", "run the gateway", 1)
	name := c.Flags().String("gateway", "",
		"the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge run FILE'"))
		}
		return launch(ctx, args[0], *name, stderr)
	})
}

// roots are the keys that sign releases, set by the linker (packaging/release).
var roots string

// launch gives the place of this process to the release that is to run, or runs the
// gateway, and at its end gives the place back to the packaged program if it is to
// start again, which chooses anew. Whatever is wrong with releases, the gateway runs.
func launch(ctx context.Context, file, name string, stderr io.Writer) error {
	args, environment := os.Args, os.Environ()
	releases, self, notLaunched := release.Open(version, roots)
	if releases != nil && releases.Running == "" {
		notLaunched = releases.Launch(self, args, environment)
	}
	err := runGateway(ctx, file, name, releases, notLaunched, stderr)
	again := errors.Is(err, gateway.ErrRestart)
	if err != nil && !again && ctx.Err() == nil && releases != nil {
		// One on trial that does not even start, as when it refuses the configuration, must
		// not be what stays: a service manager starts nothing again after a wrong file.
		again = releases.Reject(releases.Runs(), "it does not run: "+plain.Text(err)) == nil
	}
	if again && ctx.Err() == nil {
		return release.Return(self, args, environment)
	}
	if again {
		return nil
	}
	return err
}

// runGateway runs the gateway of a file until ctx ends, or with [gateway.ErrRestart]
// until it is to start again. notLaunched is why no release took the place of this
// program.
func runGateway(ctx context.Context, file, name string, releases *release.Folder, notLaunched error,
	stderr io.Writer) error {
	defer oneThread()()
	end, _ := pause.Kernel() // where there is no such timer Go's will do
	defer end()
	// A panic ends the process with the exit code of a wrong file, after which a service
	// manager starts nothing again. So it ends by a signal.
	debug.SetTraceback("crash")
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from now on: it would end a process that starts
	defer signal.Stop(hangups)
	powers := make(chan os.Signal, 4)
	signal.Notify(powers, power.Signals...)
	defer signal.Stop(powers)
	service, noService := notify.Open()
	defer func() { _ = service.Close() }()
	budget.ReleaseProgram() // what each package made when the program began
	settle := saveMemory()
	started, err := gateway.Load(ctx, file, name)
	giveBack() // the file's tree, before the gateway is built
	if ctx.Err() != nil {
		return nil // stopped before it began
	}
	if err != nil {
		return wrongFile(err)
	}
	logging := gateway.NewLogging(stderr, started.Config.Log)
	logging.Hide(started.Hidden)
	log := logging.Logger
	if started.FellBack != "" {
		log.Debug("the last good configuration is used instead of the file", "file", file, "why", started.FellBack)
	}
	for _, w := range slices.Concat(started.Absent, started.Warnings) {
		log.Warn("configuration", "warning", w.String())
	}
	if noService != nil {
		log.Warn("systemd is not told how the gateway is", "err", noService)
	}
	if notLaunched != nil {
		log.Error("releases", "err", notLaunched)
	}
	g, err := gateway.New(started, gateway.Options{File: file, Name: name, Version: version, Logging: logging,
		Hangups: hangups, Powers: powers, Notify: service, Releases: releases})
	if err != nil {
		return err
	}
	settle()
	err = g.Run(ctx)
	if err != nil && !errors.Is(err, gateway.ErrRestart) {
		log.Error("stop was not clean", "err", err)
		return exit(exitFailed)
	}
	return err
}

// oneThread lets one thread at a time run the gateway's code, until end is called.
// Go hands work from one part to the next by waking a second thread, which soon
// sleeps again: a gateway that sleeps between any two packets pays more for that
// than for its work. What waits in the system (the disk, the network) gives its
// place away, and what computes for long is interrupted every 10 ms. A read of a
// mapped page that is not in memory would not give its place away: a segment is
// read as a file before it is mapped. The environment variable GOMAXPROCS overrules
// it.
func oneThread() (end func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	runtime.GOMAXPROCS(1)
	return runtime.SetDefaultGOMAXPROCS
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
		giveBack()
		go func() {
			for _, t := range steps {
				time.Sleep(t)
				budget.ReleaseProgram()
			}
		}()
	}
}

// steps are the times from one step of a start to the next: parts begin, the gateway
// connects, devices are learnt, and all runs. Each needs other pages of the program.
var steps = []time.Duration{50 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond, time.Second,
	3 * time.Second, 6 * time.Second}

// giveBack returns what is free to the machine, and what is mapped of the program itself.
func giveBack() {
	debug.FreeOSMemory()
	budget.ReleaseProgram()
}
