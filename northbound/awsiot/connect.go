package awsiot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/socket"
)

// stage is how far an attempt to connect got.
type stage int

const (
	stageFiles     stage = iota // reading certificate, key and CA
	stageDial                   // name and TCP
	stageHandshake              // TLS
	stageConnect                // from CONNECT to CONNACK
	stageUp                     // connected
)

// connectError is why a connection could not be made or ended, with what is
// needed to explain it.
type connectError struct {
	stage    stage
	endpoint string
	server   string            // the name expected in the server's certificate
	own      *x509.Certificate // ours, if it could be read
	proxy    string            // the proxy that is dialled instead
	err      error
}

func (e *connectError) Error() string {
	return fmt.Sprintf("connect %s: %v", e.endpoint, e.err)
}
func (e *connectError) Unwrap() error { return e.err }

// connackError is a refusal by CONNACK.
type connackError struct {
	code   byte
	reason string // the server's own words, if any
}

func (e *connackError) Error() string { return fmt.Sprintf("CONNACK 0x%02X %s", e.code, e.reason) }

// disconnectError is the end of a connection by the server's DISCONNECT.
type disconnectError struct {
	code   byte
	reason string
}

func (e *disconnectError) Error() string {
	return fmt.Sprintf("DISCONNECT 0x%02X %s", e.code, e.reason)
}

// dialer opens a TCP connection, [net.Dialer.DialContext] for instance.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// attempt is one attempt to connect.
type attempt struct {
	cfg     *Config
	client  string // client id
	network Network
	away    bool                     // others wait for the port, too
	reached func() *paho.WillMessage // called when the port answers; returns the last will
	sent    func()                   // called just before the CONNECT is sent

	own  *x509.Certificate // ours, once it could be read
	will *paho.WillMessage
}

// open connects and returns a session that is up, or a *connectError. Each
// connection is the winner of a race of IPv6 and IPv4; there is no other way.
func (a *attempt) open(ctx context.Context) (*session, error) {
	fail := &connectError{endpoint: a.cfg.Endpoint}
	pair, roots, err := credentials(a.cfg)
	if err != nil {
		fail.err = err
		return nil, fail
	}
	if fail.own = pair.Leaf; fail.own == nil {
		fail.own, _ = x509.ParseCertificate(pair.Certificate[0])
	}
	a.own = fail.own
	fail.stage = stageDial
	host, port, err := splitEndpoint(a.cfg.Endpoint)
	if err != nil {
		fail.err = err
		return nil, fail
	}
	dial := dialer(a.dial)
	if a.cfg.Proxy != "" {
		proxy, err := parseProxy(a.cfg.Proxy)
		if err != nil {
			fail.err = err
			return nil, fail
		}
		dial = through(proxy, dial)
		fail.proxy = proxy.Host
	}
	raw, begin, err := a.reach(ctx, func(ctx context.Context) (net.Conn, error) {
		return dial(ctx, "tcp", net.JoinHostPort(host, port))
	})
	if err != nil {
		fail.err = err
		return nil, fail
	}
	a.will = a.reached()
	ctx, cancel := context.WithDeadline(ctx, begin.Add(a.cfg.ConnectTimeout.D()))
	defer cancel()
	fail.stage, fail.proxy = stageHandshake, ""
	cfg := tlsConfig(a.cfg, pair, roots)
	fail.server = cfg.ServerName
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		fail.err = err
		return nil, fail
	}
	fail.stage = stageConnect
	s := newSession(a.cfg, raw, conn, fail)
	a.sent()
	if err := s.connect(ctx, a.packet()); err != nil {
		_ = raw.Close()
		fail.err = err
		return nil, fail
	}
	fail.stage = stageUp
	s.tls = conn.ConnectionState()
	return s, nil
}

// dial opens a TCP connection of package socket to the winner of the race.
func (a *attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := Race(a.network)(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return socket.Wrap(conn), nil
}

// packet returns the CONNECT: a clean session that ends with the connection.
func (a *attempt) packet() *paho.Connect {
	return &paho.Connect{
		ClientID:    a.client,
		KeepAlive:   uint16(a.cfg.KeepAlive.D() / time.Second),
		CleanStart:  true,
		WillMessage: a.will,
		Properties: &paho.ConnectProperties{
			ReceiveMaximum:     paho.Uint16(inboundMaximum),
			RequestProblemInfo: true,
		},
	}
}

// inboundMaximum is how many messages the cloud may send without our
// acknowledgement; the library makes a channel of this size.
const inboundMaximum = 20
