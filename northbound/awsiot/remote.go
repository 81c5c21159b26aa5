package awsiot

import (
	"context"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
)

// remoteRetry is when a subscription that was refused is tried again.
const remoteRetry = 5 * time.Minute

// remote serves what the cloud may ask of us on a connection: commands, and the
// shadow. It ends with ctx.
func (s *Sink) remote(ctx context.Context, cfg *Config, session *uplink.Session) {
	var all sync.WaitGroup
	s.commander.executions.taken.Store(cfg.Commands.Executions)
	if cfg.Commands.Executions && s.avoided.over(time.Now()) {
		all.Go(func() {
			s.subscribed(ctx, "executions", func() error {
				err := s.takeExecutions(ctx, cfg, session)
				if s.avoided.note(err != nil && session.Context().Err() != nil, time.Now()) {
					s.log.Error("connections end while we subscribe to the executions of AWS IoT Commands, leaving them out", "for", avoidFor)
				}
				return err
			})
		})
	}
	if cfg.Commands.Topic != "" {
		all.Go(func() { s.subscribed(ctx, "commands", func() error { return s.listen(ctx, cfg, session) }) })
	}
	if cfg.Shadow.Name != "" {
		all.Go(func() {
			sh := newReporter(s, cfg, session)
			s.subscribed(ctx, "shadow", func() error { return sh.open(ctx) })
			sh.run(ctx)
		})
	}
	all.Wait()
}

// subscribed tries to subscribe until it works or ctx ends.
func (s *Sink) subscribed(ctx context.Context, what string, try func() error) {
	for ctx.Err() == nil {
		err := try()
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.Error("the cloud does not let us listen", "for", what, "err", err, "again", remoteRetry)
		select {
		case <-ctx.Done():
		case <-time.After(remoteRetry):
		}
	}
}

// listen subscribes to the commands.
func (s *Sink) listen(ctx context.Context, cfg *Config, session *uplink.Session) error {
	t, err := payload.ParseTopic(cfg.Commands.Topic, s.options.Gateway, s.currentLabels())
	if err != nil {
		return err // checked when the configuration was taken
	}
	maxAge := cfg.Commands.MaxAge.D()
	session.Handle(t.Fill(""), func(m uplink.Inbound) {
		s.commander.offer(request{by: viaTopic, payload: m.Payload, maxAge: maxAge,
			reply: s.respond(m.ResponseTopic, m.Correlation)})
	})
	return session.Subscribe(ctx, t.Fill(""))
}

// connection returns the connection and its status topic; nil while there is
// none.
func (s *Sink) connection() (*uplink.Session, *status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.status
}

// rebirth asks for birth and catalogue to be told again.
func (s *Sink) rebirth() {
	if _, status := s.connection(); status != nil {
		select {
		case status.again <- struct{}{}:
		default:
		}
	}
}
