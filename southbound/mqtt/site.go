package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/socket"
	"fieldbridge/southbound/mqtt/inlet"
)

const (
	siteTimeout    = 10 * time.Second // to connect, and for each answer
	siteKeepAlive  = 30               // seconds
	siteExpiry     = 30 * 24 * 3600   // seconds that the broker keeps messages for us
	siteInFlight   = 1000             // messages that the broker may send before they are safe
	siteMaxMessage = 1 << 20          // bytes of a packet that we accept
	siteLasting    = 30 * time.Second // a connection that lived so long starts the backoff afresh
)

// subscription is what a rule wants of a site broker.
type subscription struct {
	filter string
	qos    byte
}

// outgoing is a message to a site broker.
type outgoing struct {
	topic   string
	payload []byte
}

// site is the client of a broker of the site.
type site struct {
	name   string
	config inlet.Broker
	id     string
	log    *slog.Logger
	state  bridge.State // may be nil

	mu     sync.Mutex
	now    *siteSession   // guarded by mu; of the present connection
	wanted []subscription // guarded by mu
	fault  error          // guarded by mu; nil while connected
	since  time.Time      // guarded by mu; of fault
	denied []string       // guarded by mu; filters that the broker refused

	changed  chan struct{} // receives a value when wanted has changed
	outbox   chan outgoing
	messages atomic.Uint64
	refused  atomic.Uint64
	old      atomic.Bool // the broker speaks MQTT 3.1.1 only
}

func newSite(name string, config inlet.Broker, gateway string, log *slog.Logger, state bridge.State) *site {
	id := config.ClientID
	if id == "" {
		id = gateway + "-south"
	}
	return &site{name: name, config: config, id: id, log: log.With("broker", name), state: state, changed: make(chan struct{}, 1), outbox: make(chan outgoing, 64),
		fault: errors.New("not connected yet"), since: time.Now()}
}

// want says which subscriptions are needed from now on.
func (s *site) want(subs []subscription) {
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

// run keeps a connection until ctx ends.
func (s *site) run(ctx context.Context, ingest inlet.Ingest) {
	retry := &pause.Growing{Least: time.Second, Most: time.Minute}
	for ctx.Err() == nil {
		begin := time.Now()
		err := s.connect(ctx, ingest)
		if ctx.Err() != nil {
			return
		}
		s.setFault(err)
		if time.Since(begin) > siteLasting {
			retry.Reset()
		}
		pause.Sleep(ctx, retry.Jittered())
	}
}

// connect connects, subscribes and takes messages until the connection or ctx
// ends.
func (s *site) connect(ctx context.Context, ingest inlet.Ingest) error {
	if s.old.Load() {
		return s.connectOld(ctx, ingest)
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
	session := newSiteSession(end, &s.refused)
	s.mu.Lock()
	s.now = session
	s.mu.Unlock()
	client := paho.NewClient(paho.ClientConfig{
		ClientID: s.id, Conn: nc, Session: session, PacketTimeout: siteTimeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			s.messages.Add(1)
			ingest(inlet.Message{Topic: p.Packet.Topic, Payload: p.Packet.Payload, At: time.Now()}, session.expectPublish(p.Packet))
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
			if old := s.connectOld(ctx, ingest); !errors.Is(old, errSilent) {
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
	err = s.serve(live, newClient{client}, connack.SessionPresent, ended)
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
func (s *site) serve(live context.Context, client siteClient, resumed bool, ended <-chan error) error {
	var have []subscription
	if resumed {
		have = s.remembered()
	}
	if err := s.subscribe(live, client, &have); err != nil {
		return err
	}
	s.setConnected(resumed)
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("%w: %w", errLost, err)
		case <-live.Done():
			return live.Err() // why it has ended is told a moment later
		case out := <-s.outbox:
			if err := client.publish(live, out.topic, out.payload); err != nil {
				return fmt.Errorf("publish to %s: %w", out.topic, err)
			}
		case <-s.changed:
			if err := s.subscribe(live, client, &have); err != nil {
				return err
			}
		}
	}
}

func (s *site) dial(ctx context.Context) (*siteConn, error) {
	ctx, cancel := context.WithTimeout(ctx, siteTimeout)
	defer cancel()
	nc, err := s.dialURL(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.config.URL, err)
	}
	return newSiteConn(nc), nil
}

func (s *site) dialURL(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(s.config.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "mqtts" {
		return socket.Dial(ctx, "tcp", u.Host)
	}
	config, err := clientTLS(s.config.TLS, u.Hostname())
	if err != nil {
		return nil, err
	}
	nc, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, explainTLS(err)
	}
	return nc, nil
}

func (s *site) connectPacket() *paho.Connect {
	expiry, inFlight, size := uint32(siteExpiry), uint16(siteInFlight), uint32(siteMaxMessage)
	p := &paho.Connect{ClientID: s.id, KeepAlive: siteKeepAlive, Properties: &paho.ConnectProperties{
		SessionExpiryInterval: &expiry, ReceiveMaximum: &inFlight, MaximumPacketSize: &size, RequestProblemInfo: true}}
	if s.config.Username != "" {
		p.Username, p.UsernameFlag = s.config.Username, true
	}
	if s.config.PasswordFile != "" {
		// A file that can't be read is the broker's refusal, which names the file.
		if password, err := inlet.ReadPassword(s.config.PasswordFile); err == nil {
			p.Password, p.PasswordFlag = password, true
		}
	}
	return p
}

// connectError explains why there is no connection.
func (s *site) connectError(connack *paho.Connack, err error) error {
	what := fmt.Sprintf("connect to %s as %s", s.config.URL, s.id)
	if fromPeer(err) { // with TLS 1.3 a refused certificate shows only here
		return fmt.Errorf("%s: %w", what, explainTLS(err))
	}
	if connack == nil && strings.HasPrefix(s.config.URL, "mqtts:") && (s.config.TLS == nil || s.config.TLS.Certificate == "") {
		// The alert may be lost when the broker closes at once.
		return fmt.Errorf("%s: no CONNACK (%w): the broker may want a client certificate, then set tls.certificate; or it speaks neither MQTT 5 nor 3.1.1", what, err)
	}
	if connack == nil {
		return fmt.Errorf("%s: no answer that MQTT knows (%w): is this the address of a broker that speaks MQTT 5 or 3.1.1?", what, err)
	}
	switch connack.ReasonCode {
	case 0x84:
		return fmt.Errorf("%s: the broker does not speak MQTT 5: update it, or let it bridge to a broker with listen", what)
	case 0x85:
		return fmt.Errorf("%s: the broker does not accept this client id: change client_id", what)
	case 0x86:
		return fmt.Errorf("%s: bad user name or password: check username and password_file%s", what, s.passwordHint())
	case 0x87:
		return fmt.Errorf("%s: not authorized: check username and password_file, or the broker's access rules%s", what, s.passwordHint())
	}
	reason := packets.Connack{ReasonCode: connack.ReasonCode}
	return fmt.Errorf("%s: refused with 0x%02x: %s", what, connack.ReasonCode, reason.Reason())
}

// passwordHint tells if the password could not be read.
func (s *site) passwordHint() string {
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
		return errors.New("disconnected: another client connected with the same client id: give each gateway its own client_id")
	}
	p := packets.Disconnect{ReasonCode: d.ReasonCode}
	return fmt.Errorf("disconnected by the broker with 0x%02x: %s", d.ReasonCode, p.Reason())
}

// speaksOld notes that the broker speaks MQTT 3.1.1.
func (s *site) speaksOld() {
	if !s.old.Swap(true) {
		s.log.Info("the site broker speaks MQTT 3.1.1 only: that is used", "url", s.config.URL)
	}
}

func (s *site) setConnected(resumed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = nil
	s.log.Info("connected to site broker", "url", s.config.URL, "client_id", s.id, "session_resumed", resumed)
}

func (s *site) setFault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil || s.fault.Error() != err.Error() {
		s.log.Warn("no connection to site broker", "err", err)
	}
	if s.fault == nil {
		s.since = time.Now()
	}
	s.fault = err
}

// unacknowledged counts the messages that the broker waits for.
func (s *site) unacknowledged() int {
	s.mu.Lock()
	session := s.now
	s.mu.Unlock()
	if session == nil {
		return 0
	}
	return session.unacknowledged()
}

// connected returns 1 while there is a connection.
func (s *site) connected() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		return 1
	}
	return 0
}

func (s *site) health() []condition.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return []condition.Condition{condition.SiteDown.At("mqtt "+s.name, s.since, s.fault)}
	}
	if len(s.denied) > 0 {
		return []condition.Condition{condition.SiteDenies.At("mqtt "+s.name, s.since, strings.Join(s.denied, ", "))}
	}
	return nil
}
