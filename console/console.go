// Package console is what an operator and a monitoring system look at:
//
//	GET /          a page that shows the status
//	GET /healthz   what is wrong now; 503 while someone must act
//	GET /metrics   Prometheus text format
//	GET /status    everything about the running gateway, as JSON
//	GET /devices/N the newest readings of device N, as JSON
//
// It only answers GET and changes nothing, so that it may listen where many can
// reach it.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
)

// Config is what a configuration file says under console.
type Config struct {
	// Listen is the address and port of the console, as 127.0.0.1:8080. Without
	// it there is none.
	Listen string `yaml:"listen"`
}

// Validate returns what is wrong with c.
func (c *Config) Validate() []setting.Problem {
	if c.Listen == "" {
		return nil
	}
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		return []setting.Problem{{Path: []string{"listen"}, Text: fmt.Sprintf("%q is not an address with a port", c.Listen),
			Fix: "write it as 127.0.0.1:8080, or :8080 for all addresses"}}
	}
	return nil
}

// View is what the console shows. Its functions are safe for concurrent use.
type View struct {
	Metrics []bridge.Observable
	Health  []condition.Reporter
	Status  func() any // marshalled as JSON
	// Device returns the newest readings of a device, marshalled as JSON.
	Device func(name string) (any, error)

	url atomic.Value // string
}

// ErrNoDevice says that a gateway has no device of that name.
var ErrNoDevice = errors.New("there is no device")

// Conditions returns all that is wrong now.
func (v *View) Conditions() []condition.Condition {
	conditions := []condition.Condition{}
	for _, h := range v.Health {
		conditions = append(conditions, h.Health()...)
	}
	return conditions
}

// Handler returns the console's pages.
func (v *View) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage("text/html; charset=utf-8", pageHTML))
	mux.HandleFunc("GET /page.js", servePage("text/javascript; charset=utf-8", pageJS))
	mux.HandleFunc("GET /healthz", v.serveHealth)
	mux.HandleFunc("GET /metrics", v.serveMetrics)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, v.Status()) })
	mux.HandleFunc("GET /devices/{name}", v.serveDevice)
	return mux
}

func (v *View) serveDevice(w http.ResponseWriter, r *http.Request) {
	answer, err := v.Device(r.PathValue("name"))
	switch {
	case errors.Is(err, ErrNoDevice):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// serveHealth says 503 only for alarms: a gateway that buffers because the
// uplink is down does its job, and restarting it would not help.
func (v *View) serveHealth(w http.ResponseWriter, _ *http.Request) {
	health := struct {
		Status     string                `json:"status"`
		Conditions []condition.Condition `json:"conditions"`
	}{"ok", v.Conditions()}
	code := http.StatusOK
	for _, c := range health.Conditions {
		if c.Severity == condition.Alarm {
			health.Status, code = "alarm", http.StatusServiceUnavailable
			break
		}
		health.Status = "degraded"
	}
	writeJSON(w, code, health)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(data, '\n'))
}

const (
	listenRetryMin = time.Second
	listenRetryMax = time.Minute
)

// Serve serves the console on addr until ctx ends. An address that is taken is
// no reason to stop the gateway: it is logged once and tried again.
func (v *View) Serve(ctx context.Context, addr string, log *slog.Logger) {
	wait := listenRetryMin
	for ctx.Err() == nil {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			url := "http://" + l.Addr().String() + "/"
			log.Info("console listening", "url", url)
			v.url.Store(url)
			ServeOn(ctx, l, v.Handler())
			v.url.Store("")
			return
		}
		if wait == listenRetryMin {
			log.Error("console cannot listen: end what holds the port or change console.listen; trying again", "addr", addr, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, listenRetryMax)
	}
}

// URL returns where the page is, "" while Serve does not listen.
func (v *View) URL() string {
	url, _ := v.url.Load().(string)
	return url
}

// ServeOn serves h on l until ctx ends, then closes l.
func ServeOn(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		server.Close()
	}
}
