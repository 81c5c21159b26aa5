package gateway

import (
	"context"
	"log/slog"
	"sync"

	"fieldbridge/console"
)

// movable is a console that can listen elsewhere while it runs.
type movable struct {
	view   *console.View
	listen chan console.Config // one value: where to listen from now on
	log    *slog.Logger
}

// serve serves the console until ctx ends, where the configuration of the
// moment says.
func (m *movable) serve(ctx context.Context) {
	for listen := <-m.listen; ctx.Err() == nil; {
		listen = m.serveAt(ctx, listen)
	}
}

// serveAt serves the console at listen until ctx ends or it is to listen
// elsewhere, which it returns.
func (m *movable) serveAt(ctx context.Context, listen console.Config) (next console.Config) {
	here, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	if listen.Listen != "" {
		serving.Go(func() { m.view.Serve(here, listen, m.log) })
	}
	select {
	case <-ctx.Done():
		return console.Config{}
	case next = <-m.listen:
		return next
	}
}

// move makes the console listen elsewhere, nowhere if it names no address. Only
// one goroutine may call it at a time.
func (m *movable) move(listen console.Config) {
	select {
	case <-m.listen: // not taken yet, and out of date
	default:
	}
	m.listen <- listen
}
