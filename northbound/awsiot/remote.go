package awsiot

import (
	"context"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/northbound/awsiot/payload"
)

// remoteRetry is when a subscription that was refused is tried again.
const remoteRetry = 5 * time.Minute

// remote serves what the cloud may ask of us on a connection: commands, and the
// shadow. It ends with ctx.
func (s *Sink) remote(ctx context.Context, session *session) {
	var all sync.WaitGroup
	cfg := session.cfg
	if cfg.Commands.Executions && s.avoided.over(time.Now()) {
		all.Go(func() {
			s.subscribed(ctx, "executions", func() error {
				err := s.takeExecutions(ctx, session)
				if s.avoided.note(err != nil && session.ctx.Err() != nil, time.Now()) {
					s.log.Error("connections end while we subscribe to the executions of AWS IoT Commands, leaving them out", "for", avoidFor)
				}
				return err
			})
		})
	}
	if cfg.Commands.Topic != "" {
		all.Go(func() { s.subscribed(ctx, "commands", func() error { return s.listen(ctx, session) }) })
	}
	if cfg.Shadow.Name != "" {
		all.Go(func() {
			sh := newReporter(s, session)
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
func (s *Sink) listen(ctx context.Context, session *session) error {
	t, err := payload.ParseTopic(session.cfg.Commands.Topic, s.options.Gateway, s.currentLabels())
	if err != nil {
		return err // checked when the configuration was taken
	}
	maxAge := session.cfg.Commands.MaxAge.D()
	session.inbound.handle(t.Fill(""), func(p *paho.Publish) {
		r := request{by: viaTopic, payload: p.Payload, maxAge: maxAge, reply: s.respond("", nil)}
		if p.Properties != nil {
			r.reply = s.respond(p.Properties.ResponseTopic, p.Properties.CorrelationData)
		}
		s.commander.offer(r)
	})
	return session.subscribe(ctx, t.Fill(""))
}

// connection returns the connection and its status topic; nil while there is
// none.
func (s *Sink) connection() (*session, *status) {
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
