package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"testing"

	"fieldbridge/gateway"
)

func TestOneThread(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	t.Setenv("GOMAXPROCS", "2")
	oneThread()()
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("GOMAXPROCS is set, and %d threads became %d", all, got)
	}
	if err := os.Unsetenv("GOMAXPROCS"); err != nil {
		t.Fatal(err)
	}
	end := oneThread()
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d threads", got)
	}
	if end(); runtime.GOMAXPROCS(0) < min(2, runtime.NumCPU()) {
		t.Errorf("%d threads after the end", runtime.GOMAXPROCS(0))
	}
}

// runningGateway is a gateway within the test's process.
type runningGateway struct {
	*gateway.Gateway
	logging *gateway.Logging
	stop    func()
}

// startGateway runs the gateway of a file until stop, or the test's end, as the
// command run does.
func startGateway(t *testing.T, file string, log io.Writer) *runningGateway {
	t.Helper()
	started, err := gateway.Load(t.Context(), file, "")
	if err != nil {
		t.Fatal(err)
	}
	logging := gateway.NewLogging(log, started.Config.Log)
	g, err := gateway.New(started, gateway.Options{File: file, Logging: logging})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return &runningGateway{g, logging, stop}
}
