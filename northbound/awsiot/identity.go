package awsiot

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/uplink"
)

// choose returns the identity of the next connection, and notes it.
func (s *Sink) choose(cfg *Config) life.Choice {
	choice := s.life.Choose(&cfg.Config, &cfg.Identity)
	status := s.life.Status(choice, &cfg.Config, &cfg.Identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = status
	return choice
}

// awaitIdentity returns how long to wait before an identity is asked for, 0 if there is
// one.
func (s *Sink) awaitIdentity() time.Duration {
	cfg := s.current()
	wait := s.life.Wait(s.choose(&cfg), cfg.Backoff)
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait > 0 && s.fault.Text == "" {
		s.link.Detail = fmt.Sprintf("the gateway has no identity yet, it will ask for one by the claim in %s",
			cfg.Identity.Provision.Claim)
	}
	return wait
}

// provision asks the cloud for an identity. Until there is one, readings wait.
func (s *Sink) provision(ctx context.Context, cfg *Config, c life.Choice, back *uplink.Schedule, a *uplink.Attempt) {
	err := s.life.Provision(ctx, c, a, &cfg.Identity)
	if err == nil {
		s.log.Info("the cloud has given the gateway an identity, connecting with it",
			"template", cfg.Identity.Provision.Template)
		*back = uplink.Schedule{}
		return
	}
	a.Tape.Say(0, err.Error())
	s.attempts.Add(1)
	back.Failed(err)
	if ctx.Err() == nil {
		s.failures.Add(1)
		s.noteFailure(err)
	}
}

// proven notes that the cloud has acknowledged the birth of a connection.
func (s *Sink) proven(c life.Choice, sent *x509.Certificate) {
	s.life.Proven(c, sent)
	cfg := s.current()
	status := s.life.Status(c, &cfg.Config, &cfg.Identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = status
}

// Rotate has the gateway make a new key, get a certificate for it and connect with
// them. It returns when the cloud has acknowledged a message with the new certificate,
// or why it did not: then the one before is used. It takes a minute or more.
func (s *Sink) Rotate(ctx context.Context) error {
	return s.life.Rotate(ctx)
}
