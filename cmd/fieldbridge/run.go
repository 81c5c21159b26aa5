package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"fieldbridge/gateway"
)

func runCommand() *cobra.Command {
	c := newCommand("run FILE [--gateway NAME]", "run the gateway", 1)
	name := c.Flags().String("gateway", "",
		"the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge run FILE'"))
		}
		return runGateway(ctx, args[0], *name, stderr)
	})
}

// runGateway runs the gateway of a file until ctx ends.
func runGateway(ctx context.Context, file, name string, stderr io.Writer) error {
	defer oneThread()()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from now on: it would end a process that starts
	defer signal.Stop(hangups)
	settle := saveMemory()
	started, err := gateway.Load(ctx, file, name)
	debug.FreeOSMemory() // of the file's tree, before the gateway is built
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
	for _, w := range started.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
	g, err := gateway.New(started, gateway.Options{File: file, Name: name, Version: version, Logging: logging,
		Hangups: hangups})
	if err != nil {
		return err
	}
	settle()
	if err := g.Run(ctx); err != nil {
		log.Error("stop was not clean", "err", err)
		return exit(exitFailed)
	}
	return nil
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
		debug.FreeOSMemory()
	}
}
