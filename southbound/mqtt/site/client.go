package site

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/plain"
	"fieldbridge/southbound/mqtt/inlet"
)

const (
	timeout      = 10 * time.Second // to connect, and for each answer
	keepAlive    = 30               // seconds
	expiry       = 30 * 24 * 3600   // seconds that the broker keeps messages for us
	mostInFlight = 1000             // messages that the broker may send before they are safe
	maxMessage   = 2 << 20          // bytes of a packet that we accept
	lasting      = 30 * time.Second // a connection that lived so long starts the backoff afresh
)

// Subscription is what a rule wants of a site broker.
type Subscription struct {
	Filter string
	QoS    byte
}

// outgoing is a message to a site broker.
type outgoing struct {
	topic   string
	payload []byte
}

// Client is the client of one broker of the site. Its methods are safe for
// concurrent use.
type Client struct {
	name   string
	config inlet.Broker
	id     string
	log    *slog.Logger
	state  bridge.State // may be nil
	guest  bool         // see Guest
	// Tape records the packets, if it is not nil. It is set before Run.
	Tape *blackbox.Tape

	// Under mu nothing waits: not for the broker, a disk or the log.
	mu                  sync.Mutex
	now                 *session       // guarded by mu; of the present connection
	wanted              []Subscription // guarded by mu
	clone               error          // guarded by mu; the last that is known of another client with our id
	cloneAt, cloneSince time.Time      // guarded by mu; of clone
	fault               error          // guarded by mu; nil while connected
	since               time.Time      // guarded by mu; of fault
	long                longMessage    // guarded by mu
	denied              []denial       // guarded by mu; filters that the broker refused
	known               []Subscription // guarded by mu; what the broker has of us; nil before the first connection

	changed  chan struct{} // receives a value when wanted has changed
	learned  chan struct{} // receives a value when known has changed
	outbox   chan outgoing
	messages atomic.Uint64
	refused  atomic.Uint64
	at       atomic.Int64  // which of the addresses
	old      []atomic.Bool // by address; the broker speaks MQTT 3.1.1 only
	copies   atomic.Pointer[copies]

	// Of the goroutine that connects:
	tried    int64 // addresses, one after the other
	accepted bool  // the broker took the last connection
	clones   clones
}

// New returns the client of the broker called name. gateway is the gateway's
// name; state remembers the subscriptions, and may be nil. It starts nothing.
func New(name string, config inlet.Broker, gateway string, log *slog.Logger, state bridge.State) *Client {
	id := config.ClientID
	if id == "" {
		id = gateway + "-south"
	}
	s := &Client{name: name, config: config, id: id, log: log.With("broker", name), state: state,
		changed: make(chan struct{}, 1), learned: make(chan struct{}, 1), outbox: make(chan outgoing, 64),
		fault: errYet, since: time.Now(), clones: newClones(id),
		old: make([]atomic.Bool, len(config.URL))}
	s.copies.Store(newCopies(nil))
	return s
}

// Guest returns a client of the broker called name that only looks in: it has a
// client id of its own, so that it throws nobody out, the broker forgets it when it
// goes, and it publishes nothing.
func Guest(name string, config inlet.Broker, gateway string, log *slog.Logger) *Client {
	config.Publish = nil
	config.ClientID = gateway + "-guest-" + strings.ToLower(rand.Text()[:8])
	s := New(name, config, gateway, log, nil)
	s.guest = true
	return s
}

// overhearing returns ingest for a guest: what it gets is a copy, safe as it is.
func overhearing(ingest inlet.Ingest) inlet.Ingest {
	return func(m inlet.Message, safe func(error)) {
		if safe != nil {
			safe(nil)
		}
		ingest(m, nil)
	}
}

// Want says which subscriptions are needed from now on.
func (s *Client) Want(subs []Subscription) {
	s.mu.Lock()
	same := slices.Equal(s.wanted, subs)
	s.wanted = subs
	s.mu.Unlock()
	if same {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run keeps a connection until ctx ends.
func (s *Client) Run(ctx context.Context, ingest inlet.Ingest) {
	if s.guest {
		ingest = overhearing(ingest)
	}
	var helpers sync.WaitGroup
	done := make(chan struct{})
	helpers.Go(func() { s.save(done) })
	defer helpers.Wait()
	defer close(done)
	retry := &pause.Growing{Least: time.Second, Most: time.Minute}
	var round []error // of the addresses that were tried one after the other
	for ctx.Err() == nil {
		begin := time.Now()
		s.accepted = false
		err := s.connect(ctx, ingest)
		if ctx.Err() != nil {
			return
		}
		round = append(round, err)
		wait := retry
		if s.accepted {
			round = round[len(round)-1:]
			if other := s.clones.ended(begin, err); other != nil {
				round[0], wait = other, &s.clones.retry
				s.takenBy(other)
			}
		}
		s.setFault(joined(round))
		if time.Since(begin) > lasting {
			retry.Reset()
		}
		if s.next(s.accepted) {
			continue
		}
		round = nil
		pause.Sleep(ctx, wait.Jittered())
	}
}

// joined is what went wrong with all addresses.
func joined(all []error) error {
	if len(all) == 1 {
		return all[0]
	}
	var texts []string
	for _, err := range all {
		texts = append(texts, err.Error())
	}
	return errors.New(strings.Join(texts, "; and "))
}

// takenBy remembers that another client uses our id.
func (s *Client) takenBy(what error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clone, s.cloneAt = what, time.Now()
	if s.cloneSince.IsZero() || s.clones.ends == 1 {
		s.cloneSince = s.cloneAt
	}
}

// connect connects, subscribes and takes messages until the connection or ctx
// ends.
func (s *Client) connect(ctx context.Context, ingest inlet.Ingest) error {
	if s.old[s.at.Load()].Load() {
		return s.connect311(ctx, ingest)
	}
	nc, err := s.dial(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 4) // paho reports some ends twice
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	session := newSession(end, &s.refused)
	s.mu.Lock()
	s.now = session
	s.mu.Unlock()
	client := paho.NewClient(paho.ClientConfig{
		ClientID: s.id, Conn: nc, Session: session, PacketTimeout: timeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			s.messages.Add(1)
			if s.copies.Load().again(p.Packet.Topic, p.Packet.Payload, identifiers(p.Packet), time.Now()) {
				if safe := session.expectPublish(p.Packet); safe != nil {
					safe(nil)
				}
				return true, nil
			}
			m := inlet.Message{Topic: p.Packet.Topic, Payload: p.Packet.Payload, At: time.Now(),
				Retained: p.Packet.Retain}
			if p.Packet.Properties != nil {
				m.Type = p.Packet.Properties.ContentType
			}
			ingest(m, session.expectPublish(p.Packet))
			return true, nil
		}},
		OnClientError:      end,
		OnServerDisconnect: func(d *paho.Disconnect) { end(disconnectError(d)) },
	})
	connack, err := client.Connect(ctx, s.connectPacket())
	if err != nil {
		_ = nc.Close()
		if nc.old() && !fromPeer(err) && ctx.Err() == nil {
			// A broker that closes at once may have had another reason.
			if old := s.connect311(ctx, ingest); !errors.Is(old, errSilent) {
				return old
			}
		}
		return s.connectError(connack, err)
	}
	// When the connection breaks, paho tells nobody who waits for an answer.
	live, lost := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { session.run(client.Done()) })
	helpers.Go(func() { <-client.Done(); lost() })
	defer helpers.Wait()
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }() // fails if the connection has ended already
	err = s.serve(live, client5{client, hasIdentifiers(connack)}, connack.SessionPresent, ended)
	if ctx.Err() != nil {
		inlet.Grace(session.unacknowledged) // or the broker would send them again
		return err
	}
	// A write may fail before paho has read what the broker said before it
	// closed.
	if broken := new(net.OpError); !errors.Is(err, errLost) && (live.Err() != nil || errors.As(err, &broken)) {
		return why(ended)
	}
	return err
}

// errLost is the end of a connection; what has ended it follows if it is known.
var errLost = errors.New("connection lost")

// why returns why the connection has ended, which paho tells a moment later.
func why(ended <-chan error) error {
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case err := <-ended:
		return fmt.Errorf("%w: %w", errLost, err)
	case <-moment.C:
		return errLost
	}
}

// serve subscribes, now and whenever the rules change, until something ends;
// live ends with the connection.
func (s *Client) serve(live context.Context, client dialect, resumed bool, ended <-chan error) error {
	var have []Subscription
	if resumed {
		have = s.remembered()
	}
	if err := s.subscribe(live, client, &have); err != nil {
		return err
	}
	s.setConnected(resumed)
	regular := inlet.NewRegular(s.config.Publish)
	for {
		due, stop := regular.Timer()
		select {
		case <-due:
			for _, out := range regular.Take() {
				if err := client.publish(live, out.Topic, []byte(out.Payload), out.Retain); err != nil {
					return fmt.Errorf("publish to %s: %w", out.Topic, err)
				}
			}
		case err := <-ended:
			return fmt.Errorf("%w: %w", errLost, err)
		case <-live.Done():
			return live.Err() // why it has ended is told a moment later
		case out := <-s.outbox:
			if err := client.publish(live, out.topic, out.payload, false); err != nil {
				return fmt.Errorf("publish to %s: %w", out.topic, err)
			}
		case <-s.changed:
			if err := s.subscribe(live, client, &have); err != nil {
				return err
			}
		}
		stop()
	}
}

func (s *Client) connectPacket() *paho.Connect {
	lasts, inFlight, size := uint32(expiry), uint16(mostInFlight), uint32(maxMessage)
	if s.guest {
		lasts = 0 // MQTT 5, section 3.1.2.11.2: the session ends with the connection
	}
	p := &paho.Connect{ClientID: s.id, KeepAlive: keepAlive, Properties: &paho.ConnectProperties{
		SessionExpiryInterval: &lasts, ReceiveMaximum: &inFlight, MaximumPacketSize: &size, RequestProblemInfo: true}}
	if s.config.Username != "" {
		p.Username, p.UsernameFlag = s.config.Username, true
	}
	if s.config.PasswordFile != "" {
		// A file that cannot be read is the broker's refusal, which names the file.
		if password, err := inlet.ReadPassword(s.config.PasswordFile); err == nil {
			p.Password, p.PasswordFlag = password, true
		}
	}
	return p
}

// connectError explains why there is no connection.
func (s *Client) connectError(connack *paho.Connack, err error) error {
	what := fmt.Sprintf("connect to %s as %s", s.url(), s.id)
	if fromPeer(err) { // with TLS 1.3 a refused certificate shows only here
		return fmt.Errorf("%s: %w", what, explainTLS(err))
	}
	anonymous := s.config.TLS == nil || s.config.TLS.Certificate == ""
	if connack == nil && s.secure() && anonymous {
		// The alert may be lost when the broker closes at once.
		return fmt.Errorf("%s: no CONNACK (%w): the broker may want a client certificate, then set tls.certificate; "+
			"or it speaks neither MQTT 5 nor 3.1.1", what, err)
	}
	if connack == nil {
		return fmt.Errorf("%s: the answer is not MQTT (%w): "+
			"is this the address of a broker that speaks MQTT 5 or 3.1.1?", what, err)
	}
	switch connack.ReasonCode {
	case 0x84:
		return fmt.Errorf("%s: the broker does not speak MQTT 5: update it, or let it bridge to a broker with listen", what)
	case 0x85:
		return fmt.Errorf("%s: the broker does not accept this client id: change client_id", what)
	case 0x86:
		return fmt.Errorf("%s: bad user name or password: check username and password_file%s", what, s.passwordHint())
	case 0x87:
		return fmt.Errorf("%s: not authorized: check username and password_file, or the broker's access rules%s",
			what, s.passwordHint())
	}
	reason := packets.Connack{ReasonCode: connack.ReasonCode}
	return fmt.Errorf("%s: refused with 0x%02x: %s", what, connack.ReasonCode, reason.Reason())
}

// passwordHint tells if the password could not be read.
func (s *Client) passwordHint() string {
	if s.config.PasswordFile == "" {
		return ""
	}
	if _, err := inlet.ReadPassword(s.config.PasswordFile); err != nil {
		return " (" + err.Error() + ")"
	}
	return ""
}

func disconnectError(d *paho.Disconnect) error {
	if d.ReasonCode == 0x8e {
		return fmt.Errorf("disconnected: %w", errTakenOver)
	}
	p := packets.Disconnect{ReasonCode: d.ReasonCode}
	return fmt.Errorf("disconnected by the broker with 0x%02x: %s", d.ReasonCode, p.Reason())
}

// speaks311 notes that the broker speaks MQTT 3.1.1.
func (s *Client) speaks311() {
	if !s.old[s.at.Load()].Swap(true) {
		s.log.Info("the site broker speaks MQTT 3.1.1 only: that is used", "url", s.url())
	}
}

func (s *Client) setConnected(resumed bool) {
	s.mu.Lock()
	s.fault = nil
	s.accepted = true
	s.mu.Unlock()
	s.log.Info("connected to site broker", "url", s.url(), "client_id", s.id, "session_resumed", resumed)
}

func (s *Client) setFault(err error) {
	s.mu.Lock()
	if s.fault == nil {
		s.since = time.Now()
	}
	s.fault = err
	s.mu.Unlock()
	s.log.Debug("no connection to site broker", "err", err)
}

// longMessage is what was too long.
type longMessage struct {
	topic        string
	bytes, count int
	since, last  time.Time
}

// skipped notes a message that was too long, and was skipped.
func (s *Client) skipped(bytes int, topic string) {
	s.mu.Lock()
	now := time.Now()
	if now.Sub(s.long.last) >= short {
		s.long = longMessage{since: now}
	}
	s.long.topic, s.long.bytes, s.long.last = topic, bytes, now
	s.long.count++
	first := s.long.count == 1
	s.mu.Unlock()
	if first {
		s.log.Warn("a message of the site broker is skipped: it is too long", "topic", topic, "bytes", bytes,
			"most", maxMessage)
	}
}

// Counts are what the metrics tell.
type Counts struct {
	Messages       uint64 // that the broker sent
	Refused        uint64 // not acknowledged, since the queue refused them
	Unacknowledged int    // that the broker waits for
	Connected      bool
}

// Counts returns the counts of now.
func (s *Client) Counts() Counts {
	s.mu.Lock()
	now, connected := s.now, s.fault == nil
	s.mu.Unlock()
	c := Counts{Messages: s.messages.Load(), Refused: s.refused.Load(), Connected: connected}
	if now != nil {
		c.Unacknowledged = now.unacknowledged()
	}
	return c
}

// Publish sends a message with QoS 0. It does not wait: the message is lost if
// there is no connection, or too many wait.
func (s *Client) Publish(topic string, payload []byte) {
	if s.guest {
		return
	}
	select {
	case s.outbox <- outgoing{topic, payload}:
	default:
	}
}

// Health returns what is wrong with the broker now.
func (s *Client) Health() []condition.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.cloneAt) < short && s.clone != nil {
		return []condition.Condition{condition.SiteDown.At("mqtt "+s.name, s.cloneSince, s.clone)}
	}
	if s.fault != nil && !s.starting() {
		return []condition.Condition{condition.SiteDown.At("mqtt "+s.name, s.since, plain.Text(s.fault))}
	}
	if s.long.bytes > 0 && time.Since(s.long.last) < short {
		return []condition.Condition{condition.SiteTooLarge.At("mqtt "+s.name, s.long.since, s.long.bytes, s.long.topic,
			s.long.count)}
	}
	if len(s.denied) > 0 {
		var filters []string
		for _, d := range s.denied {
			filters = append(filters, d.filter)
		}
		return []condition.Condition{condition.SiteDenies.At("mqtt "+s.name, s.since, strings.Join(filters, ", "))}
	}
	return nil
}
