package awsiot

import (
	"context"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/uplink"
)

// lookAgain is how often ConnectNow looks what became of an attempt.
const lookAgain = 100 * time.Millisecond

// ConnectNow ends the wait for the next attempt to connect, if there is one, and
// returns what became of the attempt. AWS's own pause between two connections of a
// client is kept. When ctx ends first, tried is false.
func (s *Sink) ConnectNow(ctx context.Context) (link bridge.LinkStatus, tried bool) {
	if link = s.Link(); link.Connected {
		return link, true
	}
	before := s.attempts.Load()
	select {
	case s.nudge <- struct{}{}:
	default: // somebody else has asked
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.Link(), false
		case <-look.C:
		}
		tried := s.attempts.Load() != before
		if link = s.Link(); link.Connected || tried {
			return link, true
		}
	}
}

// HoldCommands is [remote.Commander.Hold].
func (s *Sink) HoldCommands(ctx context.Context) (resume func(), err error) {
	return s.commander.Hold(ctx)
}

// Prove connects with cfg, beside the session that there is, if cfg names another
// endpoint, and tells why that does not work. At the same endpoint the second session
// would end the first: there a trial must show it.
func (s *Sink) Prove(ctx context.Context, cfg *Config) error {
	if now := s.current(); cfg.Endpoint == now.Endpoint {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout.D()+5*time.Second)
	defer cancel()
	choice := s.life.Choose(&cfg.Config, &cfg.Identity)
	a := &uplink.Attempt{Config: &cfg.Config, Client: s.clientID(cfg), Network: s.network, Pair: choice.Pair,
		Reached: func() uplink.Will { return uplink.Will{} }, Sent: func() {}}
	session, err := a.Open(ctx)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w", cfg.Endpoint, err)
	}
	session.GiveUp()
	_ = session.Close() // it has shown what it had to
	return nil
}
