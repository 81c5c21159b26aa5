package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/pause"
)

// lookEvery is how often the control socket and the queue's folder are looked at.
const lookEvery = 2 * time.Second

// errFolderTaken ends a gateway whose folder vanished and then was another's.
var errFolderTaken = errors.New("the queue's folder was replaced, and another gateway has it now: this one stops")

// serveControl serves the control socket until ctx ends, and makes it again when
// someone removed it with the folder. It calls stop when the folder is another
// gateway's: never are there two in one.
func (g *Gateway) serveControl(ctx context.Context, stop context.CancelCauseFunc) {
	looking := pause.NewLook(lookEvery)
	defer looking.Stop()
	for told := false; ctx.Err() == nil; {
		told = g.serveSocket(ctx, looking.C, told)
		if !g.queue.Holds() {
			g.log.Error(errFolderTaken.Error())
			stop(errFolderTaken)
			return
		}
	}
}

// serveSocket serves one control socket until it is gone, the queue's folder is not
// ours, or ctx ends. Why it cannot be made is told once.
func (g *Gateway) serveSocket(ctx context.Context, looking <-chan time.Time, told bool) bool {
	here, end := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer end()
	l, err := control.Listen(g.dir)
	if err != nil && !told {
		g.log.Error("control socket: 'fieldbridge status' will not find this gateway", "err", err)
	}
	if err == nil {
		serving.Go(func() { console.ServeOn(here, l, g.controlHandler()) })
	}
	path := filepath.Join(g.dir, control.Socket)
	if err == nil && filepath.Base(l.Addr().String()) != control.Socket {
		path = l.Addr().String() // the folder cannot have one
	}
	made, _ := os.Lstat(path)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-looking:
		}
		now, e := os.Lstat(path)
		if err != nil || e != nil || made == nil || !os.SameFile(made, now) || !g.queue.Holds() {
			return err != nil
		}
	}
}

// controlHandler answers what the console answers and, on the control socket
// alone, lists topics, reloads, turns commands off, works on the queue and sends
// requests over Modbus buses.
func (g *Gateway) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", g.view.Handler())
	mux.HandleFunc("GET /sensors", g.serveSensors)
	g.flight.Handle(mux, func(text string) string { return g.logging.hidden.Load().In(text) })
	control.HandleQueue(mux, g.queue, g.name, g.log)
	control.ReloadPage.Handle(mux, g.reload)
	control.CommandsPage.Handle(mux,
		func(ctx context.Context, t control.Turn) (remote.CommandStatus, error) { return t.Do(ctx, g.sink) })
	control.ConnectPage.Handle(mux, func(ctx context.Context, c control.Connect) (control.Connected, error) {
		answer := c.Do(ctx, g.sink)
		hide := g.logging.hidden.Load().In
		answer.Link.Endpoint, answer.Link.Detail = hide(answer.Link.Endpoint), hide(answer.Link.Detail)
		return answer, nil
	})
	control.RotatePage.Handle(mux, func(ctx context.Context, r control.Rotate) (bridge.IdentityStatus, error) {
		return r.Do(ctx, g.sink)
	})
	control.UpdatePage.Handle(mux, g.releases.update)
	control.RelayPage.Handle(mux,
		func(ctx context.Context, r control.Relay) ([]byte, error) { return r.Do(ctx, g.modbus) })
	control.ForgetPage.Handle(mux,
		func(ctx context.Context, f control.ForgetSensor) (string, error) { return f.Do(ctx, g.mqtt) })
	control.WritePage.Handle(mux,
		func(ctx context.Context, w control.Write) (bridge.Written, error) { return w.Do(ctx, g.modbus) })
	return mux
}

func (g *Gateway) reload(ctx context.Context, r control.Reload) (string, error) {
	if r.Confirm < 0 || r.Good < 0 || r.Good > 1 {
		return "", errors.New("confirm is a duration, good a share")
	}
	return g.change.Reload(ctx, r.Confirm, r.Good)
}

func (g *Gateway) serveSensors(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(g.mqtt.Listing()); err != nil {
		g.log.Debug("answer not sent", "err", err)
	}
}
