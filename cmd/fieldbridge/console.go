package main

import "context"

// serveConsole serves the console until ctx ends, where the configuration of the
// moment says.
func (g *gateway) serveConsole(ctx context.Context) {
	listen := g.config.Console.Listen
	for ctx.Err() == nil {
		serving, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if listen != "" {
				g.view.Serve(serving, listen, g.log)
			}
		}()
		select {
		case <-ctx.Done():
		case listen = <-g.listen:
		}
		stop()
		<-ended
	}
}

// moveConsole makes the console listen elsewhere, nowhere if listen is "". Only
// one goroutine may call it at a time.
func (g *gateway) moveConsole(listen string) {
	select {
	case <-g.listen: // not taken yet, and out of date
	default:
	}
	g.listen <- listen
}
