package awsiottest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/awsiottest/things"
)

// Options is how a stand-in is started. Zero values are replaced.
type Options struct {
	Listen string       // address; default 127.0.0.1:0
	Dir    string       // for CA, certificates and keys; required; files of an earlier run are used again
	Hosts  []string     // names in the server's certificate; default localhost, 127.0.0.1 and ::1
	Log    *slog.Logger // default: silent
	// OnPublish is told of each accepted message, in the order of arrival per
	// client, last wills included. It must not keep Payload's memory for writing.
	OnPublish func(Message)
	// Server replaces the server's certificate, for tests of what a client says
	// to a wrong one.
	Server *Identity
	// Network, if given, is used instead of Listen.
	Network *Network
	// Throttle says what is done with too many messages; the zero value lets
	// all through.
	Throttle Throttle
	// IgnoreQoS0 drops QoS 0 messages that the policy does not allow, instead of
	// disconnecting the client.
	IgnoreQoS0 bool
	// StrictSNI refuses handshakes without one of the server's names.
	StrictSNI bool
	// RefuseInHandshake refuses certificates that are not active by a TLS alert,
	// instead of closing the connection after the handshake.
	RefuseInHandshake bool
	// PolicyDelay is how long a policy takes to have effect.
	PolicyDelay time.Duration
	// ShadowDelay is how long answers about shadows take.
	ShadowDelay time.Duration
	// Conflict is how long after a change of an execution another is refused as a
	// conflict.
	Conflict time.Duration
	// ReceiveMaximum and MaximumPacket are granted in the CONNACK instead of
	// AWS's 100 and 149,504, for tests of clients; packets are refused by AWS's
	// own.
	ReceiveMaximum uint16
	MaximumPacket  uint32
	// Watchers lets others than gateways look: with any certificate of the CA, by
	// MQTT 5 or 3.1.1, they subscribe to what they like and publish nothing.
	Watchers bool
	// ALPN demands x-amzn-mqtt-ca, as AWS does on port 443.
	ALPN bool
}

// Cloud is a running stand-in. Its methods are safe for concurrent use.
type Cloud struct {
	fanOut  fanOut
	options Options
	log     *slog.Logger
	ca      *Authority
	server  *mochi.Server
	tls     *tls.Config
	addr    string // fixed once it is listening

	script          atomic.Pointer[func(*Message) Verdict]
	connectScript   atomic.Pointer[func(string) ConnectVerdict]
	subscribeScript atomic.Pointer[func(client, filter string) bool]
	counts          counters
	duplicates      atomic.Bool
	registry        *registry.Registry
	shadows         *things.Shadows
	executions      *things.Executions

	mu       sync.Mutex
	listener net.Listener       // guarded by mu; nil while offline
	wires    map[*wire]struct{} // guarded by mu; open connections
	dark     chan struct{}      // guarded by mu; nil, or closed when the light is back
	clients  map[string]*client // guarded by mu; connected, by client id
	accepts  sync.WaitGroup

	rules     map[string]func(Message) // guarded by mu
	retained  map[string]time.Time     // guarded by mu; when a topic was last retained
	connected map[string]time.Time     // guarded by mu; the last CONNECT of a client id
	versions  map[string]uint64        // guarded by mu; of the next connection, by client id
	services  []service.Service        // guarded by mu; plugged in
}

// Start starts a stand-in that listens. Close ends it.
func Start(o Options) (*Cloud, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cloud{options: o, log: o.Log, addr: o.Listen, wires: make(map[*wire]struct{}),
		registry: registry.New(), clients: make(map[string]*client),
		rules: make(map[string]func(Message)), retained: make(map[string]time.Time), connected: make(map[string]time.Time),
		versions: make(map[string]uint64)}
	c.shadows = things.NewShadows(c.say, o.ShadowDelay)
	c.executions = things.NewExecutions(c.say, o.Conflict)
	if err := c.identities(); err != nil {
		return nil, fmt.Errorf("stand-in: %w", err)
	}
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumPacketSize = 1 << 20 // ours is checked in the hook, with a DISCONNECT
	capabilities.ReceiveMaximum = receiveMaximum
	if o.ReceiveMaximum > 0 {
		capabilities.ReceiveMaximum = o.ReceiveMaximum
	}
	capabilities.TopicAliasMaximum = topicAliasMaximum
	capabilities.MaximumQos = 1
	capabilities.MaximumSessionExpiryInterval = 3600
	capabilities.MaximumMessageExpiryInterval = 0 // the hook does it: the broker would give all messages one
	capabilities.MinimumProtocolVersion = oldest(o)
	capabilities.Compatibilities.NoInheritedPropertiesOnAck = true
	c.server = mochi.New(&mochi.Options{
		Capabilities:           capabilities,
		Logger:                 slog.New(slog.DiscardHandler), // it logs its own way; we tell what matters
		SysTopicResendInterval: 1 << 20,                       // AWS has none
		InlineClient:           true,
	})
	if err := c.server.AddHook(&hook{cloud: c}, nil); err != nil {
		return nil, fmt.Errorf("stand-in: %w", err)
	}
	if err := c.server.Serve(); err != nil {
		return nil, fmt.Errorf("stand-in: %w", err)
	}
	if err := c.Online(); err != nil {
		return nil, errors.Join(err, c.server.Close())
	}
	return c, nil
}

// identities opens or makes the CA and the server's certificate, and registers
// the device certificates of an earlier run.
func (c *Cloud) identities() error {
	var err error
	if c.ca, err = NewAuthority(c.options.Dir, "ca"); err != nil {
		return err
	}
	server := c.options.Server
	if server == nil {
		id, err := c.ca.Issue("server", Terms{Hosts: c.options.Hosts})
		if err != nil {
			return err
		}
		server = &id
	}
	pair, err := tls.LoadX509KeyPair(server.Certificate, server.PrivateKey)
	if err != nil {
		return err
	}
	c.tls = &tls.Config{
		Certificates:           []tls.Certificate{pair},
		MinVersion:             tls.VersionTLS12,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // AWS does a full handshake each time
		VerifyConnection:       c.verify,
	}
	if c.options.ALPN {
		c.tls.NextProtos = []string{"x-amzn-mqtt-ca"}
	}
	if c.options.StrictSNI {
		c.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Contains(c.options.Hosts, hello.ServerName) {
				return nil, fmt.Errorf("server name %q is not ours", hello.ServerName)
			}
			return nil, nil
		}
	}
	files, err := filepath.Glob(filepath.Join(c.options.Dir, "*.pem"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if cert, _, err := loadPair(f, strings.TrimSuffix(f, ".pem")+".key"); err == nil && !cert.IsCA &&
			len(cert.DNSNames)+len(cert.IPAddresses) == 0 {
			c.adopt(cert)
		}
	}
	return nil
}

// verify refuses in the handshake what AWS refuses there: certificates that are
// out of date. Who is registered is checked afterwards, unless it was asked for.
func (c *Cloud) verify(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired}
	}
	if c.options.RefuseInHandshake && c.status(registry.CertificateID(leaf.Raw)) != registry.Active {
		return errors.New("the certificate is not active")
	}
	return nil
}

// Authority returns the CA of the server and of the devices.
func (c *Cloud) Authority() *Authority { return c.ca }

// CA returns the PEM file with the CA's certificate.
func (c *Cloud) CA() string { return c.ca.File }

// Addr returns host:port. It stays the same when the cloud goes offline and
// comes back.
func (c *Cloud) Addr() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

// Device returns the identity of a thing, registered as active, from files of an
// earlier run or new. The common name is also the only client id it may use.
func (c *Cloud) Device(thing string) (Identity, error) {
	id, err := c.ca.Issue(thing, Terms{})
	if err != nil {
		return Identity{}, fmt.Errorf("stand-in: device %s: %w", thing, err)
	}
	cert, _, err := loadPair(id.Certificate, id.PrivateKey)
	if err != nil {
		return Identity{}, err
	}
	c.adopt(cert)
	return id, nil
}

// Online listens again after [Cloud.Offline], at the same address.
func (c *Cloud) Online() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		return nil
	}
	l, err := c.listen()
	if err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	c.listener, c.addr = l, l.Addr().String()
	c.accepts.Go(func() { c.accept(l) })
	c.log.Info("cloud is online", "addr", c.addr)
	return nil
}

func (c *Cloud) listen() (net.Listener, error) {
	if c.options.Network != nil {
		return c.options.Network.listen(), nil
	}
	return net.Listen("tcp", c.addr)
}

// Offline stops listening and breaks all connections: who connects is refused.
func (c *Cloud) Offline() {
	c.mu.Lock()
	l := c.listener
	c.listener = nil
	c.mu.Unlock()
	if l == nil {
		return
	}
	_ = l.Close()
	c.breakAll()
	c.accepts.Wait()
	c.log.Info("cloud is offline")
}

// Dark makes a black hole of the cloud: connections stay, and new ones are
// accepted, but nothing is read or written until [Cloud.Light].
func (c *Cloud) Dark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dark == nil {
		c.dark = make(chan struct{})
	}
}

// Light ends [Cloud.Dark]. Connections from before are broken.
func (c *Cloud) Light() {
	c.breakAll()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dark != nil {
		close(c.dark)
		c.dark = nil
	}
}

// light returns nil, or what is closed when the light is back.
func (c *Cloud) light() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dark
}

// Drop breaks the connection of a client with a TCP reset; "" those of all.
func (c *Cloud) Drop(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, cl := range c.clients {
		if client == "" || id == client {
			go cl.wire.reset()
		}
	}
}

// Disconnect sends a DISCONNECT with a reason code to a client and closes its
// connection. It reports whether the client was connected.
func (c *Cloud) Disconnect(client string, code byte) bool {
	cl := c.client(client)
	if cl != nil {
		_ = c.server.DisconnectClient(cl.mochi, packets.Code{Code: code, Reason: "on demand"})
	}
	return cl != nil
}

// TakeOver does to a client what a second one with its client id does: it is
// disconnected with 0x8E. It reports whether it was connected.
func (c *Cloud) TakeOver(client string) bool {
	return c.Disconnect(client, packets.ErrSessionTakenOver.Code)
}

// Connected returns the client ids that are connected now.
func (c *Cloud) Connected() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.clients))
	for id := range c.clients {
		ids = append(ids, id)
	}
	return ids
}

func (c *Cloud) client(id string) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clients[id]
}

// Publish sends a message to those who have subscribed to its topic.
func (c *Cloud) Publish(topic string, payload []byte) error {
	return c.fanOut.publish(func() error { return c.server.Publish(topic, payload, false, 1) })
}

// Send is Publish with what else a message may have: content type, response
// topic and correlation data.
func (c *Cloud) Send(m Message) error {
	from := c.server.NewClient(nil, mochi.LocalListener, "cloud", true)
	from.Properties.ProtocolVersion = 5
	out := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, PacketID: 1, TopicName: m.Topic, Payload: m.Payload,
		Properties: packets.Properties{ContentType: m.ContentType, ResponseTopic: m.ResponseTopic,
			CorrelationData: m.CorrelationData}}
	return c.fanOut.publish(func() error { return c.server.InjectPacket(from, out) })
}

// Close ends the stand-in and returns when all of it has ended. Its files stay.
func (c *Cloud) Close() error {
	c.Offline()
	c.mu.Lock()
	if c.dark != nil {
		close(c.dark)
		c.dark = nil
	}
	c.mu.Unlock()
	err := c.server.Close()
	c.server.Listeners.ClientsWg.Wait()
	return err
}

// Remove deletes the stand-in's folder.
func (c *Cloud) Remove() error { return os.RemoveAll(c.options.Dir) }

func (c *Cloud) accept(l net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		w := &wire{Conn: raw, cloud: c, closed: make(chan struct{}), ending: make(chan struct{})}
		c.mu.Lock()
		online := c.listener == l
		if online {
			c.wires[w] = struct{}{}
		}
		c.mu.Unlock()
		if !online {
			_ = raw.Close()
			continue
		}
		conns.Go(func() { c.serve(w) })
	}
}

// serve does the handshake and hands the connection to the broker. A certificate
// that is not registered and active is closed without a CONNACK.
func (c *Cloud) serve(w *wire) {
	defer w.linger()
	conn := tls.Server(w, c.tls)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		c.counts.handshakes.Add(1)
		c.log.Info("handshake refused", "err", err)
		return
	}
	state := conn.ConnectionState()
	leaf := state.PeerCertificates[0]
	id := registry.CertificateID(leaf.Raw)
	admit(c, leaf, id)
	if s := c.status(id); s != registry.Active {
		c.arrives(leaf)
		c.counts.unregistered.Add(1)
		c.log.Info("certificate is not active, closing without CONNACK", "name", leaf.Subject.CommonName, "status", s)
		return
	}
	if c.options.ALPN && state.NegotiatedProtocol == "" {
		c.log.Info("no ALPN, closing")
		return
	}
	s := &mqttConn{Conn: conn, wire: w, turn: turn{fanOut: &c.fanOut}}
	if err := c.server.EstablishConnection("aws", s); err != nil {
		c.log.Debug("connection ended", "err", err)
	}
	s.turn.end()
	_ = s.Close()
}

func (c *Cloud) forget(w *wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wires, w)
}

func (c *Cloud) breakAll() {
	c.mu.Lock()
	wires := make([]*wire, 0, len(c.wires))
	for w := range c.wires {
		wires = append(wires, w)
	}
	c.mu.Unlock()
	for _, w := range wires {
		w.reset()
	}
}
