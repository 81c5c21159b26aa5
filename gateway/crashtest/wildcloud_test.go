//go:build linux

package crashtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// wildCloud is a cloud in plain MQTT 5 over TLS that does what a manner says, or what
// is right.
type wildCloud struct {
	rig     *rig
	address string
	tls     tls.Config
	manner  atomic.Pointer[manner] // nil: good behaviour
	bad     atomic.Int64           // packets and connections that a manner has seen
	good    atomic.Int64           // readings' messages that were taken in good behaviour

	mu       sync.Mutex
	listener net.Listener          // guarded by mu; nil while it is closed
	conns    map[net.Conn]struct{} // guarded by mu
	running  sync.WaitGroup
}

// manner is a way to misbehave. What a manner does not say is done well.
type manner struct {
	name string
	// swallows says that messages stay without an answer, so that it may take
	// ack_timeout until the gateway gives a connection up.
	swallows bool
	// closed says that nothing listens.
	closed bool
	// accepts takes the place of all that follows on a connection.
	accepts func(net.Conn)
	// config is used in the handshake.
	config func(*wildCloud) *tls.Config
	// connection makes what answers a packet on a connection; it reports whether it
	// did. A message that it acknowledges was taken before.
	connection func(c *wildConn) func(p *packets.ControlPacket) bool
}

// wildConn is one connection.
type wildConn struct {
	net.Conn
	cloud *wildCloud
}

// startWild starts it with the rig's certificates.
func startWild(t *testing.T, r *rig) *wildCloud {
	t.Helper()
	ca, err := awsiottest.NewAuthority(filepath.Join(r.dir, "ca"), "ca")
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue("server", awsiottest.Terms{Hosts: []string{"localhost"}})
	if err == nil {
		r.device, err = ca.Issue("gateway-1", awsiottest.Terms{})
	}
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(server.Certificate, server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	c := &wildCloud{rig: r, address: needtest.Address(t), conns: map[net.Conn]struct{}{}}
	c.tls.Certificates, c.tls.ClientAuth = []tls.Certificate{pair}, tls.RequireAnyClientCert
	c.listen()
	r.server, r.ca = c.address, ca.File
	t.Cleanup(func() {
		c.close()
		c.breakAll()
		c.running.Wait()
	})
	return c
}

// behave changes how it behaves from now on, on all connections; nil is well.
func (c *wildCloud) behave(m *manner) {
	c.manner.Store(m)
	c.good.Store(0)
	if m != nil && m.closed {
		c.close()
		c.breakAll()
	} else {
		c.listen()
	}
}

func (c *wildCloud) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		return
	}
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		c.rig.t.Error(err)
		return
	}
	c.listener, c.address = l, l.Addr().String()
	c.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.serve(conn) })
		}
	})
}

func (c *wildCloud) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		_ = c.listener.Close()
		c.listener = nil
	}
}

// breakAll resets what is open.
func (c *wildCloud) breakAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *wildCloud) serve(conn net.Conn) {
	c.mu.Lock()
	c.conns[conn] = struct{}{}
	c.mu.Unlock()
	defer func() {
		_ = conn.Close()
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
	}()
	config := &c.tls
	if m := c.manner.Load(); m != nil {
		c.bad.Add(1)
		if m.accepts != nil {
			m.accepts(conn)
			return
		}
		if m.config != nil {
			config = m.config(c)
		}
	}
	w := &wildConn{tls.Server(conn, config), c}
	var answering *manner
	var answer func(*packets.ControlPacket) bool
	for {
		p, err := packets.ReadPacket(w)
		if err != nil {
			return
		}
		if m := c.manner.Load(); m != answering || answer == nil {
			answering, answer = m, nil
			if m != nil && m.connection != nil {
				answer = m.connection(w)
			}
		}
		if answer != nil {
			c.bad.Add(1)
			if answer(p) {
				continue
			}
		}
		if w.well(p) != nil {
			return
		}
	}
}

// well answers as a cloud should.
func (w *wildConn) well(p *packets.ControlPacket) error {
	switch content := p.Content.(type) {
	case *packets.Connect:
		return w.connack(0, nil)
	case *packets.Publish:
		w.take(content)
		if content.QoS > 0 {
			return w.puback(content.PacketID, 0)
		}
	case *packets.Subscribe:
		codes := make([]byte, len(content.Subscriptions))
		for i, s := range content.Subscriptions {
			codes[i] = s.QoS
		}
		return w.send(packets.SUBACK, append([]byte{byte(content.PacketID >> 8), byte(content.PacketID), 0}, codes...)...)
	case *packets.Unsubscribe:
		return w.send(packets.UNSUBACK, append([]byte{byte(content.PacketID >> 8), byte(content.PacketID), 0},
			make([]byte, len(content.Topics))...)...)
	case *packets.Pingreq:
		return w.send(packets.PINGRESP)
	case *packets.Disconnect:
		return io.EOF
	}
	return nil
}

// take takes a message for the account.
func (w *wildConn) take(p *packets.Publish) {
	w.cloud.rig.note(p.Topic, p.Payload)
	if p.Topic == readings && w.cloud.manner.Load() == nil {
		w.cloud.good.Add(1)
	}
}

// send sends a packet whose length takes one byte.
func (w *wildConn) send(kind byte, body ...byte) error {
	if len(body) > 127 {
		return errors.New("too long")
	}
	_, err := w.Write(append([]byte{kind << 4, byte(len(body))}, body...))
	return err
}

func (w *wildConn) puback(id uint16, code byte) error {
	return w.send(packets.PUBACK, byte(id>>8), byte(id), code)
}

func (w *wildConn) connack(code byte, properties *packets.Properties) error {
	var b bytes.Buffer
	p := packets.NewControlPacket(packets.CONNACK)
	content := p.Content.(*packets.Connack)
	content.ReasonCode = code
	if properties != nil {
		content.Properties = properties
	}
	if _, err := p.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// hang reads what comes until the peer gives up.
func hang(conn io.Reader) { _, _ = io.Copy(io.Discard, conn) }

// wait is how long a slow manner takes.
const wait = 4 * time.Second
