package mqtt

import (
	"context"
	"log/slog"
	"net"

	"fieldbridge/bridge"
)

// Options is what the gateway lends to the source.
type Options struct {
	Gateway   string            // the gateway's name
	Log       *slog.Logger      // nil discards
	Catalogue *bridge.Catalogue // told of devices and points as they appear; may be nil
	State     bridge.State      // may be nil
}

// Source reads what sensors publish. Its methods are safe for concurrent use.
type Source struct {
	opts Options
	cfg  Config
}

var (
	_ bridge.Source         = (*Source)(nil)
	_ bridge.DeviceReporter = (*Source)(nil)
	_ bridge.Observable     = (*Source)(nil)
	_ bridge.HealthReporter = (*Source)(nil)
)

// New returns a source for cfg, which has been validated. It starts nothing.
func New(cfg Config, o Options) (*Source, error) {
	return &Source{opts: o, cfg: cfg}, nil
}

// Run listens and connects until ctx ends, and returns after everything that it
// started has ended.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	<-ctx.Done()
	return nil
}

// Apply changes the configuration of a running source: brokers that did not
// change keep their connections, and all rules are replaced at once.
func (s *Source) Apply(cfg Config) error { return nil }

// Addr returns where an embedded broker listens, nil while it does not.
func (s *Source) Addr(broker string) net.Addr { return nil }

// Devices returns how the devices are that were heard of, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus { return nil }

// Observe yields the metrics of the source.
func (s *Source) Observe(yield func(bridge.Metric)) {}

// Health returns what is wrong now.
func (s *Source) Health() []bridge.Condition { return nil }
