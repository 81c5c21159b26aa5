package life

import (
	"context"
	"crypto/x509"
	"errors"
	"hash/fnv"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/uplink"
)

const (
	// dueCheck is how often the age of the identity is looked at.
	dueCheck = time.Minute
	// settle is how long a new certificate waits for the cloud to know it everywhere.
	settle = time.Minute
	// afterFailure is how long after a failure a new one is made by itself.
	afterFailure = 24 * time.Hour
	// longLife is what certificates of AWS's own exceed: their end is nobody's plan.
	longLife = 20 * 365 * 24 * time.Hour
)

// What [Life.Rotate] may return, beside why it failed.
var (
	ErrNotConnected = errors.New("the gateway is not connected: its present identity must ask for the new one")
	ErrRenewing     = errors.New("a new identity is on trial already")
	errNoTemplate   = bridge.Permanent(errors.New("there is no northbound.awsiot.identity.provision.template to ask " +
		"by: name one, or have a request signed ('fieldbridge identity csr') and install the certificate"))
)

// errLost is that the connection ended on the way: it goes on with the next one.
var errLost = errors.New("the connection is lost")

// Rotate has a new identity made and tried, and returns when the cloud has
// acknowledged a message with it, or why it did not. The gateway connects again; if the
// connection is lost before, it goes on with the next one. What only another
// configuration can change is [bridge.Permanent].
func (l *Life) Rotate(ctx context.Context) error {
	done := make(chan error, 1)
	if err := l.wait(done); err != nil {
		return err
	}
	l.want()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// want has the identity renewed over the connection that there is, or the next one.
func (l *Life) want() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

func (l *Life) wait(done chan error) error {
	next := l.get(kept.Next)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.renewing || next != nil:
		return ErrRenewing
	case !l.serving:
		return ErrNotConnected
	}
	l.waiters = append(l.waiters, done)
	return nil
}

// Serve renews the identity in time, or when it is asked to, over a connection with it,
// until ctx ends.
func (l *Life) Serve(ctx context.Context, session enrol.Session, s *Settings) {
	if l.store == nil {
		return
	}
	l.serve(true)
	defer l.serve(false)
	look := time.NewTicker(dueCheck)
	defer look.Stop()
	for begun := l.begun(s); ; begun = false {
		if begun { // a cut came between the certificate and its trial
			select {
			case <-l.nudge: // this is what was asked for: another would be made after it
			default:
			}
			l.renewal(ctx, session, s)
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-l.nudge:
			if l.get(kept.Next) != nil {
				continue // it was made meanwhile, and is tried
			}
		case <-look.C:
			if !l.due(s) {
				continue
			}
		}
		l.renewal(ctx, session, s)
	}
}

// begun reports whether a renewal was cut after the cloud had made a certificate.
func (l *Life) begun(s *Settings) bool {
	if s.Provision.Template == "" || l.GivenUp() != "" {
		return false
	}
	draft, err := l.store.Draft(kept.Rotation)
	return err == nil && draft != nil && draft.Certificate != nil
}

// renewal renews the identity, and tells of it if that fails. Whoever asked for it goes on
// waiting when the connection is lost.
func (l *Life) renewal(ctx context.Context, session enrol.Session, s *Settings) {
	err := l.renew(ctx, session, s)
	switch {
	case errors.Is(err, errLost):
		l.o.Log.Info("the connection was lost while a new identity was made: it goes on with the next one")
		l.mu.Lock()
		l.renewing = false
		l.mu.Unlock()
		l.want()
	case err != nil:
		l.o.Log.Warn("no new identity", "why", told(err))
		l.finish(told(err))
	}
}

// told returns an error that says what its explanation does.
func told(err error) error {
	if explained := uplink.Explained(nil); errors.As(err, &explained) {
		return errors.New(explained.Explain().Text)
	}
	return err
}

func (l *Life) serve(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = up
}

func (l *Life) renew(ctx context.Context, session enrol.Session, s *Settings) error {
	if s.Provision.Template == "" {
		return errNoTemplate
	}
	l.mu.Lock()
	l.renewing = true
	l.mu.Unlock()
	l.o.Log.Info("a new identity is made")
	if err := l.Obtain(ctx, session, kept.Rotation, s, nil); err != nil {
		if ctx.Err() != nil {
			return errLost
		}
		return err
	}
	select {
	case <-time.After(settle):
		l.tellChanged()
	case <-ctx.Done(): // the next connection tries it
	}
	return nil
}

// due reports whether the identity is to be renewed now.
func (l *Life) due(s *Settings) bool {
	if !l.synced() || l.o.Hold != nil && l.o.Hold() != "" || l.get(kept.Next) != nil {
		return false
	}
	l.mu.Lock()
	failed, renewing := l.failed, l.renewing
	l.mu.Unlock()
	at := l.rotates(l.get(kept.Current), s)
	switch {
	case renewing || at.IsZero():
		return false
	case failed != nil: // who asked for it may have come before its time
		return time.Since(failed.At) >= afterFailure
	}
	return !time.Now().Before(at)
}

// rotates returns when an identity is to be renewed; zero is never.
func (l *Life) rotates(i *kept.Identity, s *Settings) time.Time {
	if i == nil || s.Provision.Template == "" {
		return time.Time{}
	}
	leaf, err := l.opened.leaf(i.Certificate)
	if err != nil {
		return time.Time{}
	}
	begin := i.Proven
	if leaf.NotBefore.After(begin) {
		begin = leaf.NotBefore // proven by a clock that was wrong
	}
	age := s.RotateAfter.D()
	at := begin.Add(age + share(l.o.Gateway, min(30*24*time.Hour, age/12)))
	if end, limited := lastThird(leaf); limited && end.Before(at) {
		return end
	}
	return at
}

// share returns a time from -most to most that is always the same for a gateway.
func share(gateway string, most time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(gateway))
	return time.Duration(h.Sum64()%uint64(2*most+1)) - most
}

// lastThird returns when the last third of a certificate's life begins, unless that is
// so long that nobody waits for it.
func lastThird(leaf *x509.Certificate) (time.Time, bool) {
	whole := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotAfter.Add(-whole / 3), whole < longLife
}
