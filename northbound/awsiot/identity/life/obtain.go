package life

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
)

// asking says when to ask for a first identity.
type asking struct {
	next   time.Time // not before
	failed int       // in a row
}

const (
	// spreadEach is the part of the first wait that each gateway of a fleet adds: 1,000
	// that are switched on together ask within five minutes, a third of what AWS takes.
	spreadEach = 300 * time.Millisecond
	// mostWait is the longest wait between two tries that may succeed by themselves,
	// and wrongWait after the cloud made an identity that is not ours: each try leaves
	// one behind.
	mostWait  = 5 * time.Minute
	wrongWait = 24 * time.Hour
)

// Wait returns how long to wait before an identity is asked for by c; 0 for any other
// choice.
func (l *Life) Wait(c Choice, backoff uplink.Backoff) time.Duration {
	if c.Kind != ByClaim {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ask.next.IsZero() {
		l.ask.next = time.Now().Add(mrand.N(max(spreadEach*time.Duration(backoff.Gateways), 1)))
	}
	return max(time.Until(l.ask.next), 0)
}

// later sets when to ask again after err.
func (l *Life) later(err error, backoff uplink.Backoff) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.ask = asking{}
		return
	}
	l.ask.failed++
	most := min(backoff.Min.D()<<min(l.ask.failed, 20), mostWait)
	wait := most/2 + mrand.N(most/2)
	var wrong *wrongThing
	var no *enrol.Rejection
	switch {
	case errors.As(err, &wrong):
		wait = wrongWait
	case errors.As(err, &no) && no.Final():
		wait = backoff.Max.D()
	}
	l.ask.next = time.Now().Add(wait)
}

// ClaimClient begins the client id of a connection with a claim.
const ClaimClient = "claim-"

// Provision asks the cloud for an identity by the claim that c has. a has the
// configuration and the network. The new one is on trial when there is no error.
func (l *Life) Provision(ctx context.Context, c Choice, a *uplink.Attempt, s *Settings) error {
	err := l.provision(ctx, c, a, s)
	if ctx.Err() == nil {
		l.later(err, a.Config.Backoff)
	}
	return err
}

func (l *Life) provision(ctx context.Context, c Choice, a *uplink.Attempt, s *Settings) error {
	a.Pair = c.Pair
	// The cloud answers to all clients of one id, and a claim is of many gateways.
	a.Client = ClaimClient + strings.ToLower(rand.Text())
	a.Reached = func() uplink.Will { return uplink.Will{} }
	session, err := a.Open(ctx)
	if err != nil {
		return &byClaim{string(s.Provision.Claim), err}
	}
	err = l.Obtain(ctx, session, c.way, s, c.by)
	_ = session.Close() // how it ends does not matter any more
	return err
}

// byClaim is why the claim did not get a connection.
type byClaim struct {
	dir string
	err error
}

func (e *byClaim) Error() string { return fmt.Sprintf("claim %s: %v", e.dir, e.err) }
func (e *byClaim) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *byClaim) Explain() uplink.Explanation {
	x := uplink.Explain(e.err)
	x.Text = "asking for an identity by the claim in " + e.dir + ": " + x.Text
	return x
}

// wrongThing is an identity of another thing.
type wrongThing struct{ template, thing, gateway string }

func (e *wrongThing) Error() string {
	return fmt.Sprintf("template %s registered the thing %s, not %s", e.template, e.thing, e.gateway)
}

// Explain implements [uplink.Explained].
func (e *wrongThing) Explain() uplink.Explanation {
	return uplink.Act("template %s has made us the thing %q, and this gateway is %q, so that certificate is not used: "+
		"have the template (and its hook) name the thing by the parameter "+GatewayName, e.template, e.thing, e.gateway)
}

// unknownOrigin is a parameter whose value is not known.
type unknownOrigin struct{ err error }

func (e *unknownOrigin) Error() string { return e.err.Error() }

// Explain implements [uplink.Explained].
func (e *unknownOrigin) Explain() uplink.Explanation {
	return uplink.Act("what the template is to be told is not known (%v): correct "+
		"northbound.awsiot.identity.provision.parameters", e.err)
}

// Obtain gets an identity over a session and puts it on trial. What an earlier call
// has got is used: its key, and its certificate while the cloud knows it. by is the
// claim of the session, nil if it is another.
func (l *Life) Obtain(ctx context.Context, session enrol.Session, way kept.Way, s *Settings, by *Found) error {
	parameters, err := l.from.parameters(ctx, s.Provision.Parameters)
	if err != nil {
		return &unknownOrigin{err}
	}
	draft, err := l.Draft(ctx, way, s.Key)
	if err != nil {
		return err
	}
	if by != nil {
		draft.Claim, draft.ClaimID = string(s.Provision.Claim), by.ID
	}
	resumed := draft.Certificate != nil && draft.Token != ""
	if !resumed {
		if err := l.certify(ctx, session, draft); err != nil {
			return err
		}
	}
	thing, err := enrol.Register(ctx, session, s.Provision.Template, draft.Token, parameters)
	var no *enrol.Rejection
	switch {
	case errors.As(err, &no) && no.TokenOver() && resumed:
		// It was registered before we were cut off, or its hour is over: to connect shows.
		return l.store.Try(draft)
	case errors.As(err, &no) && no.TokenOver():
		return errors.Join(err, l.store.Discard(draft))
	case err != nil:
		return err // the draft goes on at the next try, so that no certificate is left behind
	case thing != l.o.Gateway:
		return errors.Join(&wrongThing{s.Provision.Template, thing, l.o.Gateway}, l.store.Discard(draft))
	}
	if err := l.store.SetThing(draft, thing); err != nil {
		return err
	}
	return l.store.Try(draft)
}

// Draft returns the draft of a way, made at a place if there is none.
func (l *Life) Draft(ctx context.Context, way kept.Way, place key.Place) (*kept.Identity, error) {
	draft, err := l.store.Draft(way)
	if err != nil || draft != nil {
		return draft, err
	}
	contents, err := place.Create(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a private key: %w", err)
	}
	return l.store.Begin(contents, kept.Meta{Way: way, Made: time.Now().UTC()})
}

// certify has a certificate made for a draft.
func (l *Life) certify(ctx context.Context, session enrol.Session, draft *kept.Identity) error {
	k, err := key.Open(ctx, draft.Key)
	if err != nil {
		return errors.Join(fmt.Errorf("open the private key: %w", err), l.store.Discard(draft))
	}
	request, err := enrol.Request(k, l.o.Gateway)
	if err != nil {
		return err
	}
	issued, err := enrol.Certificate(ctx, session, request, k.Public())
	if err != nil {
		return err
	}
	return l.store.SetCertificate(draft, []byte(issued.Certificate), issued.Token)
}
