package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// Options is what is checked and how. Config, Gateway and StatusTopic are required.
type Options struct {
	Config  uplink.Config
	Gateway string // its name: the client id unless configured, and its thing name
	// StatusTopic is where the last will goes.
	StatusTopic string
	// Managed is an identity of the gateway's own; nil is that of the files of Config.
	Managed *Managed
	// Pair opens certificate and key of the files of Config; nil does so where the key
	// is in its file.
	Pair uplink.Pair
	// Came is how the identity came, where its key lives and what becomes of it; it
	// begins the first step.
	Came []Fact
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

// Managed is an identity that the gateway got for itself.
type Managed struct {
	Folder      string // where it is, for people
	Certificate []byte // PEM, the gateway's own first
	Pair        uplink.Pair
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
	defer func() { _ = conn.Close() }()
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

// clock compares the time here with what else is known of the time: who vouches
// for it, when this program was made, when our files were written, and when the
// certificates were made that both sides use.
func (c *check) clock() {
	s := c.step(Clock)
	s.reached()
	s.fact("here", "%s", c.now.UTC().Format("2006-01-02 15:04:05 UTC"))
	if !c.o.Built.IsZero() {
		s.fact("program made", "%s", day(c.o.Built))
	}
	if len(c.server) > 0 {
		s.fact("server certificate", "%s", c.agrees(c.server[0]))
	}
	if len(c.own) > 0 {
		s.fact("our certificate", "%s", c.agrees(c.own[0]))
	}
	const fix = "set it (timedatectl set-time), and let a time service keep it (timedatectl set-ntp true)"
	if why := c.mustBeLater(); why != "" {
		s.warn(fmt.Sprintf("the clock is wrong: it says %s, but %s", day(c.now), why), fix)
	}
	if c.clocksDiffer() {
		s.warn(fmt.Sprintf("this clock (%s) and the server's differ: for the server our certificate has expired, for us "+
			"it is valid until %s", day(c.now), day(c.leaf().NotAfter)), fix)
	}
	if c.o.Synced == nil {
		return
	}
	if c.o.Synced() {
		s.fact("synchronised", "yes, says the kernel")
		return
	}
	s.fact("synchronised", "no, says the kernel")
	s.warn("no time service vouches for the clock, so messages are marked as unsynced",
		"run one (timedatectl set-ntp true, or chrony)")
}

// agrees says how the time here stands to a certificate.
func (c *check) agrees(cert *x509.Certificate) string {
	switch {
	case c.now.Before(cert.NotBefore):
		return fmt.Sprintf("begins %s", inDays(cert.NotBefore.Sub(c.now)))
	case c.now.After(cert.NotAfter):
		return fmt.Sprintf("ended %s", inDays(cert.NotAfter.Sub(c.now)))
	}
	return "agrees with it"
}

// outOfDate reports whether our certificate is not valid by the clock here.
func (c *check) outOfDate() bool {
	leaf := c.leaf()
	return leaf != nil && (c.now.Before(leaf.NotBefore) || c.now.After(leaf.NotAfter))
}

// clocksDiffer reports whether the server takes our certificate for expired,
// which it is not by the clock here.
func (c *check) clocksDiffer() bool {
	return c.alert == "expired certificate" && c.leaf() != nil && !c.outOfDate()
}

// slack is how much a clock may differ without being called wrong.
const slack = 10 * time.Minute

// mustBeLater returns what shows that it is later than the clock says, or "".
func (c *check) mustBeLater() string {
	later := func(t time.Time) bool { return t.After(c.now.Add(slack)) }
	if later(c.o.Built) {
		return "this program was made on " + day(c.o.Built)
	}
	for _, path := range []setting.Path{c.o.Config.Certificate, c.o.Config.PrivateKey, c.o.Config.CA} {
		if info, err := path.Stat(); err == nil && info != nil && later(info.ModTime()) {
			return fmt.Sprintf("%s was written on %s", path, day(info.ModTime()))
		}
	}
	if len(c.server) > 0 && later(c.server[0].NotBefore) && len(c.own) > 0 && later(c.own[0].NotBefore) {
		return "the server's certificate and ours were both made later"
	}
	return ""
}

// validity says from when to when a certificate is valid.
func (c *check) validity(cert *x509.Certificate) string {
	return fmt.Sprintf("%s to %s (%s)", day(cert.NotBefore), day(cert.NotAfter), inDays(cert.NotAfter.Sub(c.now)))
}
