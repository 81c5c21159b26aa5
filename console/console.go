// Package console is what an operator and a monitoring system look at:
//
//	GET /          a page that shows how the gateway is
//	GET /device/N  the same page about device N
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
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console/page"
	"fieldbridge/order"
	"fieldbridge/pause"
)

// View is what the console shows. Its functions are safe for concurrent use.
type View struct {
	Metrics []bridge.Observable
	Health  []condition.Reporter
	Status  func() any // marshalled as JSON
	// Device returns the newest readings of a device, marshalled as JSON.
	Device func(name string) (any, error)
	// Page returns what the page shows, and what returns the points of a device.
	Page func() (page.State, func(device string) []page.Point)

	url     atomic.Value // string
	healthz atomic.Pointer[Healthz]
	own     condition.List // what is wrong with the console itself
}

// ErrNoDevice says that a gateway has no device of that name.
var ErrNoDevice = errors.New("there is no device")

// Conditions returns all that is wrong now, sorted: alarms first, then what began first.
func (v *View) Conditions() []condition.Condition {
	conditions := []condition.Condition{}
	for _, h := range v.Health {
		conditions = append(conditions, h.Health()...)
	}
	conditions = append(conditions, v.own.Health()...)
	order.By(conditions, condition.Compare)
	return conditions
}

// Handler returns the console's pages.
func (v *View) Handler() http.Handler {
	mux := http.NewServeMux()
	if page.Built {
		mux.HandleFunc("GET /{$}", v.servePage)
		mux.HandleFunc("GET /device/{name}", v.servePage)
		mux.HandleFunc("GET /page.css", serveFile("page.css", "text/css; charset=utf-8"))
		mux.HandleFunc("GET /page.js", serveFile("page.js", "text/javascript; charset=utf-8"))
		mux.HandleFunc("GET /icon.svg", serveFile("icon.svg", "image/svg+xml"))
	} else {
		mux.HandleFunc("GET /{$}", noPage)
		mux.HandleFunc("GET /device/{name}", noPage)
	}
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
// taken, or a certificate that cannot be read, is no reason to stop the gateway: it is
// told by [View.Conditions] and tried again.
func (v *View) Serve(ctx context.Context, config Config, log *slog.Logger) {
	door, err := v.door(&config)
	if err != nil {
		log.Error("console", "err", err) // no random numbers: nothing works then
		return
	}
	var guests crowd
	server := &http.Server{Handler: guard(config.Hosts, door.Guard(v.Handler())), WriteTimeout: writeTimeout,
		ConnState: guests.note, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	defer v.own.Clear(condition.ConsoleClosed, subject)
	wait := pause.Growing{Least: listenRetryMin, Most: listenRetryMax}
	for ; ctx.Err() == nil; pause.Sleep(ctx, wait.Next()) {
		l, scheme, err := listen(&config)
		if err != nil {
			v.own.Raise(condition.ConsoleClosed, subject, why(config.Listen, err))
			continue
		}
		v.own.Clear(condition.ConsoleClosed, subject)
		url := scheme + "://" + l.Addr().String() + "/"
		log.Info("console listening", "url", url)
		v.url.Store(url)
		watching, stop := context.WithCancel(ctx)
		var watch sync.WaitGroup
		if config.PasswordFile != "" || config.TokenFile != "" || config.TLS != nil {
			watch.Go(func() { config.watch(watching, &v.own) })
		}
		serve(ctx, l, server)
		stop()
		watch.Wait()
		v.url.Store("")
		return
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
