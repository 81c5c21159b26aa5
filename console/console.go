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
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/setting"
)

// Config is what a configuration file says under console.
type Config struct {
	// Listen is the address and port of the console, as 127.0.0.1:8080. Without
	// it there is none.
	Listen string `yaml:"listen"`
	// Hosts are names by which browsers may ask for the console, besides its
	// addresses, localhost and the machine's own name.
	Hosts []string `yaml:"hosts"`
}

// Validate returns what is wrong with c.
func (c *Config) Validate() []setting.Problem {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return []setting.Problem{{Path: []string{"listen"}, Text: fmt.Sprintf("%q is not an address with a port", c.Listen),
			Fix: "write it as 127.0.0.1:8080, or :8080 for all addresses"}}
	}
	var problems []setting.Problem
	if !isLoopback(host) {
		problems = append(problems, setting.Problem{Path: []string{"listen"}, Warning: true,
			Text: "the console can be reached from the network, and it shows everyone who asks what this gateway reads",
			Fix:  "listen on 127.0.0.1, or let a firewall choose who comes through"})
	}
	for i, name := range c.Hosts {
		if name == "" || strings.ContainsAny(name, "/:* ") {
			problems = append(problems, setting.Problem{Path: []string{"hosts", strconv.Itoa(i)},
				Text: fmt.Sprintf("%q is not a host's name", name),
				Fix:  "write the name alone, as gateway-7.plant.example, without http:// or a port"})
		}
	}
	return problems
}

// Equal reports whether c says the same as other.
func (c Config) Equal(other Config) bool {
	return c.Listen == other.Listen && slices.Equal(c.Hosts, other.Hosts)
}

// isLoopback reports whether only this machine reaches what listens on host.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
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
	_, _ = w.Write(append(data, '\n')) // an asker that is gone needs no answer
}

const (
	listenRetryMin = time.Second
	listenRetryMax = time.Minute
)

// writeTimeout is how long an answer may take: who asks and does not read goes.
const writeTimeout = 30 * time.Second

// Serve serves the console where config says until ctx ends. An address that is
// taken is no reason to stop the gateway: it is logged once and tried again.
func (v *View) Serve(ctx context.Context, config Config, log *slog.Logger) {
	var guests crowd
	server := &http.Server{Handler: guard(config.Hosts, v.Handler()), WriteTimeout: writeTimeout, ConnState: guests.note}
	wait := pause.Growing{Least: listenRetryMin, Most: listenRetryMax}
	for ctx.Err() == nil {
		l, err := net.Listen("tcp", config.Listen)
		if err == nil {
			url := "http://" + l.Addr().String() + "/"
			log.Info("console listening", "url", url)
			v.url.Store(url)
			serve(ctx, l, server)
			v.url.Store("")
			return
		}
		if wait.Last() == 0 {
			log.Error("console cannot listen: end what holds the port or change console.listen; trying again",
				"addr", config.Listen, "err", err)
		}
		pause.Sleep(ctx, wait.Next())
	}
}

// URL returns where the page is, "" while Serve does not listen.
func (v *View) URL() string {
	url, _ := v.url.Load().(string)
	return url
}

// ServeOn serves h on l until ctx ends, then closes l. An answer may take as long
// as it takes.
func ServeOn(ctx context.Context, l net.Listener, h http.Handler) {
	serve(ctx, l, &http.Server{Handler: h})
}

func serve(ctx context.Context, l net.Listener, server *http.Server) {
	server.ReadHeaderTimeout, server.IdleTimeout = 10*time.Second, time.Minute
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		_ = server.Close()
	}
}
