package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
)

// Options is what is checked and how. Config, Gateway and StatusTopic are required.
type Options struct {
	Config  uplink.Config
	Gateway string // its name: the client id unless configured, and its thing name
	// StatusTopic is where the last will goes.
	StatusTopic string
	// Hold says why to stop before CONNECT, a sentence without a period; ""
	// connects. HoldFix says what to do to have it done.
	Hold, HoldFix string
	// Synced reports whether the wall clock is known to be right; nil does not
	// know.
	Synced func() bool
	// Built is when the program was made, zero if unknown: a clock before it is
	// wrong.
	Built time.Time
}

// Check connects and tells what it saw. It connects once; only a CONNECT that a
// policy refuses is tried again, without the last will. It takes at most three
// times the configured connect_timeout and five seconds, and ends early with
// ctx. All that it opened is closed when it returns.
func Check(ctx context.Context, o Options) Report {
	return newCheck(o).all(ctx)
}

func (c *check) all(ctx context.Context) Report {
	c.run(ctx)
	c.again(ctx)
	c.clock()
	c.conclude()
	return c.report
}

// check is one run of [Check].
type check struct {
	o      Options
	now    time.Time
	report Report

	network uplink.Network // the machine's, but in tests
	config  *tls.Config
	pair    tls.Certificate
	own     []*x509.Certificate // ours, the leaf first
	roots   []*x509.Certificate // who may vouch for the server
	builtIn []*x509.Certificate // who may if the configuration names no CA
	server  []*x509.Certificate // the server's, the leaf first; as it sent them

	tried     tries     // addresses
	connected time.Time // when CONNECT was sent
	refused   byte      // by this CONNACK
	alert     string    // by which the server ended the connection
}

func newCheck(o Options) *check {
	c := &check{o: o, now: time.Now(), builtIn: uplink.AmazonRoots()}
	c.network = &uplink.Machine{Dialer: net.Dialer{ControlContext: c.tried.add}}
	c.report = Report{Endpoint: o.Config.Endpoint, Client: o.Config.ClientID}
	if c.report.Client == "" {
		c.report.Client = o.Gateway
	}
	for _, name := range stepNames {
		c.report.Steps = append(c.report.Steps, Step{Name: name, State: NotReached})
	}
	return c
}

func (c *check) step(name string) *Step { return c.report.Step(name) }

// run makes the steps up to the first that fails. Until TLS is complete, and then
// again until the CONNACK, it may take the configured time.
func (c *check) run(ctx context.Context) {
	if !c.files() {
		return
	}
	first, cancel := c.limit(ctx)
	defer cancel()
	conn, rtt := c.dial(first)
	if conn == nil {
		return
	}
	defer conn.Close()
	h := newHandshake(conn, c.config, c.pair)
	h.run(first)
	if h.err == nil {
		h.settle(ctx, rtt)
	}
	if !c.tell(h) {
		return
	}
	if c.o.Hold != "" {
		c.step(Connect).skip(c.o.Hold, c.o.HoldFix)
		return
	}
	second, cancel := c.limit(ctx)
	defer cancel()
	c.connect(second, h)
}

// limit is the time that the session gives itself for all of one attempt.
func (c *check) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.o.Config.ConnectTimeout.D())
}

// leaf returns our certificate, nil if it could not be read.
func (c *check) leaf() *x509.Certificate {
	if len(c.own) == 0 {
		return nil
	}
	return c.own[0]
}

// failure fails a step with the session's explanation of err.
func (c *check) failure(s *Step, at uplink.Stage, err error) {
	if errors.Is(err, context.Canceled) {
		s.fail("interrupted", "")
		return
	}
	text, fix := uplink.ExplainAt(&c.o.Config, at, c.leaf(), err)
	// The session tries again by itself, a check does not.
	if strings.HasPrefix(fix, "trying again") || strings.HasPrefix(fix, "connecting") {
		fix = "check again in a minute"
	}
	s.fail(text, fix)
}

// conclude says all of it in one sentence.
func (c *check) conclude() {
	c.report.OK = true
	var warned []*Step
	for i := range c.report.Steps {
		s := &c.report.Steps[i]
		switch s.State {
		case Failed:
			c.report.OK = false
			c.report.Conclusion = "It fails at the step " + s.Name + ": " + sentence(s.Text, s.Fix)
			return
		case Warning:
			warned = append(warned, s)
		}
	}
	works := "The cloud and this gateway accept each other, and MQTT works"
	if c.step(Connect).State == Skipped {
		works = "The cloud and this gateway accept each other (MQTT was not tried)"
	}
	if len(warned) > 0 {
		c.report.Conclusion = works + ", but: " + sentence(warned[0].Text, warned[0].Fix)
		return
	}
	c.report.Conclusion = works + "."
}

// sentence joins what is wrong and what to do.
func sentence(text, fix string) string {
	if fix != "" {
		text += ": " + fix
	}
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}
