package awsiot

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/northbound/awsiot/numbers"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
	"fieldbridge/setting"
)

// Sink is a session with AWS IoT Core. It is a [bridge.Sink]. All its methods
// are safe for concurrent use.
type Sink struct {
	options Options
	log     *slog.Logger
	network uplink.Network // the machine's, but in tests
	format  *currentFormat
	last    *lastLink
	life    *life.Life
	roots   uplink.Roots
	numbers *numbers.Keeper // of points, for format protobuf

	commander *remote.Commander
	errands
	applied  chan struct{} // one value: the session's configuration has changed
	nudge    chan struct{} // one value: somebody does not want to wait for the next attempt
	attempts atomic.Uint64 // that have failed

	mu      sync.Mutex
	config  Config             // guarded by mu
	link    bridge.LinkStatus  // guarded by mu
	fault   uplink.Explanation // guarded by mu; why there is no connection
	taken   time.Time          // guarded by mu; when another client last took our session over
	again   bool               // guarded by mu; it had done so within the hour before
	contest contest            // guarded by mu; connections that the cloud ends without a word
	silent  bool               // guarded by mu; the last connection took nothing, and this one has not yet
	now     *uplink.Session    // guarded by mu; the connection, if there is one
	status  *status            // guarded by mu; of the connection
	hash    string             // guarded by mu; of the configuration
	labels  map[string]string  // guarded by mu; replaced, never changed

	own      *bridge.CertificateStatus // guarded by mu; as last used
	identity *bridge.IdentityStatus    // guarded by mu; as last chosen
	files    string                    // the stamp of the files as last used; owned by Run

	connects, failures, losses atomic.Uint64
	statusSent, statusRefused  atomic.Uint64
	denied                     denied
	born                       atomic.Bool // a birth of this run was acknowledged
}

var (
	_ bridge.Sink        = (*Sink)(nil)
	_ bridge.Observable  = (*Sink)(nil)
	_ condition.Reporter = (*Sink)(nil)
)

// New returns a sink; it starts nothing. Missing files or a cloud that is away
// are not errors here: the gateway runs and buffers, and the sink tries again.
func New(cfg Config, o Options) (*Sink, error) {
	var s *Sink
	given := numbers.Open(o.State, o.Catalogue, o.Log, func() { s.tell() })
	f, err := check(&cfg, o.Gateway, o.Labels, given)
	if err != nil {
		return nil, err
	}
	s = &Sink{numbers: given, options: o, log: o.Log, network: new(uplink.Machine), format: &currentFormat{}, config: cfg,
		hash: o.ConfigHash, labels: o.Labels, applied: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		last: newLastLink(o.State, o.Log),
		life: life.New(life.Options{State: o.Identity, Gateway: o.Gateway, Labels: o.Labels, Log: o.Log, Synced: o.Synced,
			Hold: o.HoldRenewal})}
	s.life.Tidy()
	s.commander = remote.New(remote.Options{Gateway: o.Gateway, Run: o.Run, Log: o.Log, State: o.State, Writer: o.Writer,
		Reader: o.Reader, Pacer: o.Pacer, Switched: o.Switched, Synced: s.synced, Emit: o.Emit, Report: s.report,
		Rebirth: s.rebirth})
	s.errands = newErrands(&o, func() int { return s.current().Backoff.Gateways })
	s.format.set(f)
	s.link = bridge.LinkStatus{Endpoint: cfg.Endpoint, Detail: "not tried yet", Since: time.Now()}
	return s, nil
}

// check returns the format of cfg, or why cfg cannot work.
func check(cfg *Config, gateway string, labels map[string]string, n payload.Numbers) (bridge.Format, error) {
	for _, p := range cfg.Validate(gateway, labels) {
		if !p.Warning {
			return nil, fmt.Errorf("northbound awsiot %v: %s: %s", p.Path, p.Text, p.Fix)
		}
	}
	f, err := payload.New(&cfg.Settings, gateway, labels, n)
	if err != nil {
		return nil, fmt.Errorf("northbound awsiot: %w", err)
	}
	return f, nil
}

// Apply makes cfg the configuration of a running sink, and labels those of the
// gateway. What concerns messages is used for the next one; what concerns the
// session ends the connection, cleanly, and opens another.
func (s *Sink) Apply(cfg Config, labels map[string]string) error {
	f, err := check(&cfg, s.options.Gateway, labels, s.numbers)
	if err != nil {
		return err
	}
	s.format.set(f)
	s.mu.Lock()
	changed := !reflect.DeepEqual(ofSession(s.config), ofSession(cfg))
	if !maps.Equal(s.labels, labels) {
		s.labels = labels
		changed = changed || payload.UsesLabels(cfg.StatusTopic) || payload.UsesLabels(cfg.Commands.Topic)
	}
	s.config = cfg
	s.tellLocked() // of labels, and of the numbers that a format uses
	s.mu.Unlock()
	if changed {
		select {
		case s.applied <- struct{}{}:
		default:
		}
	}
	return nil
}

// ofSession returns cfg without what concerns messages alone. Order and share of
// the lanes are for a whole connection.
func ofSession(cfg Config) Config {
	cfg.BasicIngest, cfg.Format, cfg.Layout, cfg.Names = "", "", "", false
	cfg.Topic, cfg.MaxMessage, cfg.Linger = "", 0, 0
	return cfg
}

// Format returns how messages look. It follows [Sink.Apply].
func (s *Sink) Format() bridge.Format { return s.format }

// Born reports whether the cloud has acknowledged a birth of this run. It is safe for
// concurrent use.
func (s *Sink) Born() bool { return s.born.Load() }

// Link returns how the uplink is doing.
func (s *Sink) Link() bridge.LinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link
	l.Own = s.own
	if s.identity != nil {
		identity := *s.identity
		identity.Failed = s.life.GivenUp()
		l.Identity = &identity
	}
	return l
}

func (s *Sink) current() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// Run implements [bridge.Sink].
func (s *Sink) Run(ctx context.Context, serve func(ctx context.Context, link bridge.Link)) error {
	var side sync.WaitGroup
	defer side.Wait()
	side.Go(func() { s.commander.Run(ctx) })
	side.Go(func() { s.errands.do(ctx) })
	side.Go(func() { s.numbers.Run(ctx) })
	var back uplink.Schedule
	if !s.last.clean() {
		// The process before us may have connected just now.
		back.Sent()
	}
	for s.pause(ctx, &back) {
		cfg := s.current()
		select {
		case <-s.applied: // this attempt uses it
		default:
		}
		select {
		case <-s.nudge: // this attempt is what was asked for
		default:
		}
		away, alone := back.Away()
		back.Begin(time.Now())
		files := s.life.Stamp(&cfg.Config)
		choice := s.choose(&cfg)
		tape := s.options.Recorder.Tape("uplink", cfg.Endpoint)
		if choice.Kind == life.ByClaim {
			s.files = files
			s.provision(ctx, &cfg, choice, &back, &uplink.Attempt{Config: &cfg.Config, Network: s.network, Roots: &s.roots,
				Away: away && !alone, Sent: back.Sent, Tape: tape})
			continue
		}
		status := newStatus(s, &cfg)
		status.choice = choice
		a := &uplink.Attempt{Config: &cfg.Config, Client: s.clientID(&cfg), Network: s.network, Pair: choice.Pair,
			Roots: &s.roots, Away: away && !alone,
			Reached: func() uplink.Will {
				status.number = s.last.connecting()
				return status.will()
			},
			Sent: back.Sent, Tape: tape}
		session, err := a.Open(ctx)
		s.noteCertificate(a.Own)
		if err != nil {
			a.Tape.Say(0, err.Error())
			s.files = files
			if ctx.Err() == nil {
				if !away {
					s.failures.Add(1)
				}
				s.noteFailure(s.life.Failed(choice, a.Own, err))
			}
			s.attempts.Add(1)
			back.Failed(err)
			continue
		}
		s.files = files
		session.Answered = s.noteAnswer
		status.link = session
		s.fit(session)
		s.noteConnection(&cfg, session, status)
		err = s.serve(ctx, &cfg, session, status, serve)
		taken := uplink.TakenOver(err)
		up, worked := time.Since(session.Since), session.Acknowledged() > 0
		back.Ended(up, worked, taken, err == nil)
		s.noteEnd(taken, errors.Is(err, uplink.ErrSilent))
		s.noteContest(up, worked, uplink.Dropped(err))
		if choice.Kind == life.OnTrial && !worked && uplink.Dropped(err) {
			s.life.Unproven(choice, "the cloud ended the connection before it acknowledged anything")
		}
		if err != nil {
			s.losses.Add(1)
			s.noteFailure(err)
		}
	}
	if back.Soonest() == 0 {
		s.last.stopped()
	}
	return nil
}

// fit makes messages that the connection can carry: the cloud may take smaller
// packets than we like. Where not even one reading fits, the connection ends.
func (s *Sink) fit(session *uplink.Session) {
	s.mu.Lock()
	settings, labels, room := s.config.Settings, s.labels, session.Room()
	s.mu.Unlock()
	if room < payload.LeastMessage {
		session.TooSmall(payload.LeastMessage)
		return
	}
	if room < int(settings.MaxMessage) {
		s.log.Warn("the cloud takes small packets only, messages get smaller",
			"max_message", settings.MaxMessage, "room", room)
	}
	settings.MaxMessage = min(settings.MaxMessage, setting.Size(room))
	if f, err := payload.New(&settings, s.options.Gateway, labels, s.numbers); err == nil { // the settings were checked
		s.format.set(f)
	}
}

// pause waits until it is time for the next attempt. It reports false when ctx
// ends first. A new configuration ends the wait, and so do new files if someone
// had to do something, and a clock that is set right; AWS's own pause is kept.
func (s *Sink) pause(ctx context.Context, back *uplink.Schedule) bool {
	cfg := s.current()
	wait := max(back.Next(cfg.Backoff, s.clientID(&cfg), time.Now()), s.awaitIdentity())
	s.mu.Lock()
	s.link.Retry = time.Now().Add(wait)
	awaited := s.fault.Act
	s.mu.Unlock()
	wrong := !s.synced()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	look := time.NewTicker(fileCheck)
	defer look.Stop()
	clock := time.NewTicker(clockCheck)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case <-s.applied:
			timer.Reset(back.Soonest())
		case <-s.nudge:
			timer.Reset(back.Soonest())
		case <-look.C:
			if cfg := s.current(); awaited && s.life.Stamp(&cfg.Config) != s.files {
				s.log.Info("certificate, key or CA have changed, connecting at once")
				awaited = false
				timer.Reset(back.Soonest())
			}
		case <-clock.C:
			if wrong && s.synced() && !back.Yields() {
				s.log.Info("the clock has been set right, connecting at once")
				wrong = false
				timer.Reset(back.Soonest())
			}
		}
	}
}

// clockCheck is how often a clock that is not known to be right is looked at: a
// certificate that is not valid yet becomes so.
const clockCheck = time.Second

func (s *Sink) synced() bool { return s.options.Synced == nil || s.options.Synced() }

func (s *Sink) clientID(cfg *Config) string {
	if cfg.ClientID != "" {
		return cfg.ClientID
	}
	return s.options.Gateway
}

// ackGrace is how long a stop waits for what is in flight.
const ackGrace = time.Second

// serve runs one connection. It returns when nothing of it is left: with nil
// when we ended it, else with why it ended.
func (s *Sink) serve(ctx context.Context, cfg *Config, session *uplink.Session, status *status,
	serve func(context.Context, bridge.Link)) error {
	status.birth() // before any reading
	served, stop := context.WithCancel(session.Context())
	defer stop()
	var work, watch sync.WaitGroup
	work.Go(func() { serve(served, session) })
	work.Go(func() { status.run(served) })
	work.Go(func() { s.life.Serve(served, session, &cfg.Identity) })
	work.Go(func() {
		s.commander.Serve(served, &remote.Connection{Session: session, Access: cfg.Access, Labels: s.currentLabels(),
			StatusTopic: status.topic})
	})
	if s.options.Alongside != nil && len(cfg.Jobs) > 0 {
		work.Go(func() { s.options.Alongside(served, session) })
	}
	work.Go(func() { s.errands.tell(served, session, status.topic, cfg.Jobs) })
	watch.Go(session.Watch)
	ours := s.hold(ctx, cfg, session, status.choice)
	stop()
	if ours {
		// Claimed messages that are in flight may still be acknowledged.
		grace := time.AfterFunc(ackGrace, session.GiveUp)
		work.Wait()
		grace.Stop()
		if ctx.Err() != nil {
			status.goodbye()
		}
	}
	err := session.Close()
	work.Wait()
	watch.Wait()
	if ours {
		s.mu.Lock()
		s.link.Connected, s.link.Since, s.link.Detail = false, time.Now(), "stopped"
		s.mu.Unlock()
		return nil
	}
	return err
}

// hold waits while the connection is to be kept. It reports whether we end it.
func (s *Sink) hold(ctx context.Context, cfg *Config, session *uplink.Session, choice life.Choice) bool {
	look := pause.NewLook(fileCheck)
	defer look.Stop()
	for {
		select {
		case <-session.Context().Done():
			return false
		case <-ctx.Done():
			return true
		case <-s.applied:
			s.log.Info("the uplink's configuration has changed, connecting again")
			return true
		case <-s.life.Changed():
			s.log.Info("another identity is to be used, connecting again")
			return true
		case <-look.C:
			if s.life.Newer(choice) {
				s.log.Info("there is a new identity, connecting again")
				return true
			}
			if own := session.Own(); own != nil && time.Now().After(own.NotAfter) && s.life.Stamp(&cfg.Config) != s.files {
				s.log.Info("our certificate has expired and its file has changed, connecting again")
				return true
			}
		}
	}
}

// noteAnswer notes the PUBACK's reason of a message.
func (s *Sink) noteAnswer(topic string, code byte) {
	s.denied.outcome(topic, code)
}

// noteCertificate notes the certificate that was used.
func (s *Sink) noteCertificate(own *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = certificateStatus(own)
}

// noteEnd notes how a connection ended, for health.
func (s *Sink) noteEnd(taken, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if taken {
		s.again = !s.taken.IsZero() && time.Since(s.taken) < uplink.TakeoverMemory
		s.taken = time.Now()
	}
	s.silent, s.now, s.status = silent, nil, nil
}

func (s *Sink) noteContest(up time.Duration, worked, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contest.ended(time.Now(), up, worked, dropped)
}

// noteConnection notes a new connection.
func (s *Sink) noteConnection(cfg *Config, session *uplink.Session, status *status) {
	s.connects.Add(1)
	s.mu.Lock()
	s.link = bridge.LinkStatus{Connected: true, Since: session.Since, Endpoint: cfg.Endpoint, TLS: tlsStatus(&session.TLS)}
	if chain := session.TLS.PeerCertificates; len(chain) > 0 {
		s.link.Server = certificateStatus(chain[0])
	}
	why := s.fault.Text // a connection that is back at once began no condition
	s.fault, s.now, s.status = uplink.Explanation{}, session, status
	s.mu.Unlock()
	s.log.Info("connected to the cloud", "endpoint", cfg.Endpoint, "connection", status.number,
		"tls", tlsStatus(&session.TLS), "window", session.Limits().Window, "receive_maximum", session.ReceiveMaximum(),
		"was_down", why)
}

// noteFailure notes that there is no connection.
func (s *Sink) noteFailure(err error) {
	e := uplink.Explain(err)
	now := time.Now()
	s.mu.Lock()
	if s.link.Connected || s.fault.Text == "" {
		s.link.Since = now
	}
	s.link.Connected, s.link.Detail = false, e.Text
	s.link.TLS, s.link.Server = "", nil
	s.fault = e
	s.mu.Unlock()
	s.log.Debug("no connection to the cloud", "why", e.Text, "err", err)
}

// SwitchCommands turns all commands of the cloud off or on, over restarts; see
// [remote.Commander.Switch].
func (s *Sink) SwitchCommands(ctx context.Context, off bool) error {
	return s.commander.Switch(ctx, off)
}

// Commands returns whether the cloud may command the gateway.
func (s *Sink) Commands() remote.CommandStatus {
	cfg := s.current()
	return s.commander.Status(&cfg.Access)
}
