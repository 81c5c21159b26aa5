package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/blackbox"
	"fieldbridge/socket"
)

// Stage is how far an attempt to connect got when it failed.
type Stage int

// The stages, in their order.
const (
	AtFiles     Stage = iota // reading certificate, key and CA
	AtDial                   // name and TCP
	AtHandshake              // TLS
	AtConnect                // from CONNECT to CONNACK
	atUp                     // connected
)

// connectError is why a connection could not be made or ended, with what is
// needed to explain it.
type connectError struct {
	stage    Stage
	endpoint string
	server   string            // the name expected in the server's certificate
	own      *x509.Certificate // ours, if it could be read
	proxy    string            // the proxy that is dialled instead
	ownRoots bool              // the configuration names a ca
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

// TakenOver reports whether err, of a connection that ended, is that another
// client has connected with our client id.
func TakenOver(err error) bool {
	var end *disconnectError
	return errors.As(err, &end) && end.code == packets.DisconnectSessionTakenOver
}

// Dropped reports whether err, of a connection that ended, is that the other side
// closed it without a word.
func Dropped(err error) bool {
	var end *disconnectError
	return !errors.As(err, &end) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET))
}

// dialer opens a TCP connection, [net.Dialer.DialContext] for instance.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Will is what the cloud is to publish with QoS 1 if the connection ends without
// our DISCONNECT.
type Will struct {
	Topic   string
	Payload []byte
}

// Attempt is one attempt to connect.
type Attempt struct {
	Config  *Config
	Client  string // client id
	Network Network
	Pair    Pair        // our certificate and key; nil are the files of Config
	Roots   *Roots      // whom we trust; nil reads it anew
	Away    bool        // the port did not answer to the last attempt, and others wait for it, too
	Reached func() Will // called when the port answers; returns the last will, without a topic none
	Sent    func()      // called just before the CONNECT is sent
	Tape    *blackbox.Tape

	// Own is our certificate, once it could be read.
	Own *x509.Certificate
}

// Open connects and returns a session that is up, or an error for [Explain]. Each
// connection is the winner of a race of IPv6 and IPv4; there is no other way.
func (a *Attempt) Open(ctx context.Context) (*Session, error) {
	fail := &connectError{endpoint: a.Config.Endpoint, ownRoots: a.Config.CA != ""}
	pair, roots, err := credentials(a.Config, a.Pair, a.Roots)
	if err != nil {
		fail.err = err
		return nil, fail
	}
	if fail.own = pair.Leaf; fail.own == nil {
		fail.own, _ = x509.ParseCertificate(pair.Certificate[0])
	}
	a.Own = fail.own
	fail.stage = AtDial
	host, port, err := splitEndpoint(a.Config.Endpoint)
	if err != nil {
		fail.err = err
		return nil, fail
	}
	dial := dialer(a.dial)
	if a.Config.Proxy != "" {
		proxy, err := a.Config.proxy()
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
	will := a.Reached()
	ctx, cancel := context.WithDeadline(ctx, begin.Add(a.Config.ConnectTimeout.D()))
	defer cancel()
	fail.stage, fail.proxy = AtHandshake, ""
	cfg := tlsConfig(a.Config, pair, roots)
	fail.server = cfg.ServerName
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		fail.err = err
		return nil, fail
	}
	fail.stage = AtConnect
	s := newSession(a.Config, raw, blackbox.PacketConn(conn, a.Tape, "connected to "+raw.RemoteAddr().String()), fail)
	a.Sent()
	if err := s.connect(ctx, a.packet(will)); err != nil {
		_ = raw.Close()
		fail.err = err
		return nil, fail
	}
	fail.stage = atUp
	s.TLS = conn.ConnectionState()
	return s, nil
}

// dial opens a TCP connection of package socket to the winner of the race.
func (a *Attempt) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := Race(a.Network)(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return socket.Wrap(conn), nil
}

// packet returns the CONNECT: a clean session that ends with the connection.
func (a *Attempt) packet(will Will) *paho.Connect {
	packet := &paho.Connect{
		ClientID:   a.Client,
		KeepAlive:  uint16(a.Config.KeepAlive.D() / time.Second),
		CleanStart: true,
		Properties: &paho.ConnectProperties{
			ReceiveMaximum:     paho.Uint16(inboundMaximum),
			MaximumPacketSize:  paho.Uint32(mostInbound),
			RequestProblemInfo: true,
		},
	}
	if will.Topic != "" {
		packet.WillMessage = &paho.WillMessage{QoS: 1, Topic: will.Topic, Payload: will.Payload}
	}
	return packet
}

// inboundMaximum is how many messages the cloud may send without our
// acknowledgement; the library makes a channel of this size.
const inboundMaximum = 20

// mostInbound is the largest packet that is taken from the cloud: AWS's largest
// payload of 128 KiB, with room for topic and properties. The library makes room
// for what a packet's header says before it looks at it.
const mostInbound = 160 << 10
