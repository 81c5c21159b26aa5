package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/southbound/mqtt"
)

// serveControl serves the control socket until ctx ends.
func (g *Gateway) serveControl(ctx context.Context) {
	l, err := control.Listen(g.dir)
	if err != nil {
		g.log.Error("control socket: 'fieldbridge status' will not find this gateway", "err", err)
		return
	}
	console.ServeOn(ctx, l, g.controlHandler())
}

// controlHandler answers what the console answers and, on the control socket
// alone, lists topics, reloads, turns commands off, works on the queue and sends
// requests over Modbus buses.
func (g *Gateway) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", g.view.Handler())
	mux.HandleFunc("GET /sensors", g.serveSensors)
	control.HandleQueue(mux, g.queue, g.name, g.log)
	control.ReloadPage.Handle(mux, g.reload)
	control.CommandsPage.Handle(mux,
		func(ctx context.Context, t control.Turn) (remote.CommandStatus, error) { return t.Do(ctx, g.sink) })
	control.RelayPage.Handle(mux,
		func(ctx context.Context, r control.Relay) ([]byte, error) { return r.Do(ctx, g.modbus) })
	return mux
}

func (g *Gateway) reload(ctx context.Context, r control.Reload) (string, error) {
	if r.Confirm < 0 || r.Good < 0 || r.Good > 1 {
		return "", errors.New("confirm is a duration, good a share")
	}
	return g.change.Reload(ctx, r.Confirm, r.Good)
}

func (g *Gateway) serveSensors(w http.ResponseWriter, _ *http.Request) {
	seen := g.mqtt.Seen()
	if seen == nil {
		seen = []mqtt.Seen{}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(seen); err != nil {
		g.log.Debug("answer not sent", "err", err)
	}
}
