package gateway

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"fieldbridge/blackbox"
	"fieldbridge/configs"
	"fieldbridge/setting"
)

// Logging is how a gateway logs. Level and format may change while it runs.
type Logging struct {
	Logger *slog.Logger
	level  slog.LevelVar
	json   atomic.Bool
	hidden atomic.Pointer[setting.Hidden] // what no line shows; may be nil
	last   *setting.Hidden                // given to Hide; of who changes the configuration
	lines  blackbox.Lines                 // the last ones
}

// NewLogging returns logging to w as c asks for.
func NewLogging(w io.Writer, c configs.Log) *Logging {
	l := new(Logging)
	l.Apply(c)
	to := func(w io.Writer) slog.Handler {
		w = hiding{l, io.MultiWriter(&l.lines, w)}
		options := &slog.HandlerOptions{Level: &l.level}
		return eitherHandler{&l.json, slog.NewTextHandler(w, options), slog.NewJSONHandler(w, options)}
	}
	if journals(w) {
		l.Logger = slog.New(newDam(newByPriority(func(prefix string) slog.Handler { return to(priority{w, prefix}) })))
	} else {
		l.Logger = slog.New(newDam(to(w)))
	}
	return l
}

// Apply makes every logger that came from l log as c asks for.
func (l *Logging) Apply(c configs.Log) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the loader has checked it
	}
	l.level.Set(level)
	l.json.Store(c.Format == "json")
}

// Hide makes no line show what h hides, nor what was hidden last.
func (l *Logging) Hide(h *setting.Hidden) {
	l.hidden.Store(h.With(l.last))
	l.last = h
}

// hiding writes lines as anyone may see them.
type hiding struct {
	l *Logging
	w io.Writer
}

func (h hiding) Write(line []byte) (int, error) { return h.l.hidden.Load().Writer(h.w).Write(line) }

// eitherHandler writes text or JSON, as useJSON says at the moment.
type eitherHandler struct {
	useJSON    *atomic.Bool
	text, json slog.Handler
}

func (h eitherHandler) now() slog.Handler {
	if h.useJSON.Load() {
		return h.json
	}
	return h.text
}

// Enabled implements slog.Handler.
func (h eitherHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h eitherHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h eitherHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eitherHandler{h.useJSON, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h eitherHandler) WithGroup(name string) slog.Handler {
	return eitherHandler{h.useJSON, h.text.WithGroup(name), h.json.WithGroup(name)}
}
