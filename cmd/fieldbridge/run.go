package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"

	"fieldbridge/gateway"
	"fieldbridge/store"
)

func runCommand() *cobra.Command {
	c := newCommand("run FILE [--gateway NAME] [--one-thread]", "run the gateway", 1)
	name := c.Flags().String("gateway", "",
		"the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	one := c.Flags().Bool("one-thread", false, "let one thread run the gateway while there is little to do: it spares CPU")
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge run FILE'"))
		}
		return runGateway(ctx, args[0], *name, *one, stderr)
	})
}

// runGateway runs the gateway of a file until ctx ends. one lets one thread do it
// while there is little to do.
func runGateway(ctx context.Context, file, name string, one bool, stderr io.Writer) error {
	if one = one && mayGovern(); one {
		runtime.GOMAXPROCS(1) // the start needs the least memory so
	}
	settle := saveMemory()
	started, err := gateway.Load(file, name)
	debug.FreeOSMemory() // of the file's tree, before the gateway is built
	if err != nil {
		return wrongFile(err)
	}
	logging := gateway.NewLogging(stderr, started.Config.Log)
	log := logging.Logger
	if started.FellBack != "" {
		log.Error("the last good configuration is used instead of the file", "file", file, "why", started.FellBack)
	}
	for _, w := range started.Warnings {
		log.Warn("configuration", "warning", w.String())
	}
	g, err := gateway.New(started, gateway.Options{File: file, Name: name, Version: version, Logging: logging})
	if err != nil {
		return err
	}
	settle()
	governed, stop := context.WithCancel(ctx)
	var governing sync.WaitGroup
	if one {
		governing.Go(func() { govern(governed, func() store.Status { return g.Status().Queue }, log) })
	}
	err = g.Run(ctx)
	stop()
	governing.Wait()
	if err != nil {
		log.Error("stop was not clean", "err", err)
		return exit(exitFailed)
	}
	return nil
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
