package awsiottest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// raw is a client that speaks MQTT packet by packet and does not mind rules. It
// shares the codec with paho, not with the stand-in.
type raw struct {
	t    *testing.T
	conn *tls.Conn
	in   chan *packets.ControlPacket // closed with the connection
	id   uint16
}

// tlsDial connects and shakes hands.
func tlsDial(t *testing.T, c *Cloud, id *Identity, change func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	roots := x509.NewCertPool()
	data, err := os.ReadFile(c.CA())
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(data)
	cfg := &tls.Config{ServerName: "localhost", RootCAs: roots}
	if id != nil {
		pair, err := tls.LoadX509KeyPair(id.Certificate, id.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if change != nil {
		change(cfg)
	}
	var below net.Conn
	if n := c.options.Network; n != nil {
		below, err = n.DialContext(t.Context(), "", "")
	} else {
		below, err = net.Dial("tcp", c.Addr())
	}
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(below, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return conn, conn.HandshakeContext(ctx)
}

func dial(t *testing.T, c *Cloud, id Identity) *raw {
	t.Helper()
	conn, err := tlsDial(t, c, &id, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t, conn: conn, in: make(chan *packets.ControlPacket, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(r.in)
		for {
			p, err := packets.ReadPacket(conn)
			if err != nil {
				return
			}
			r.in <- p
		}
	}()
	t.Cleanup(func() { _ = conn.NetConn().Close(); <-done })
	return r
}

func (r *raw) write(cp *packets.ControlPacket) {
	r.t.Helper()
	if _, err := cp.WriteTo(&packetWriter{r.conn}); err != nil {
		r.t.Logf("write: %v", err)
	}
}

// packetWriter sends what is written; the codec writes in pieces.
type packetWriter struct{ conn *tls.Conn }

func (w *packetWriter) Write(b []byte) (int, error) { return w.conn.Write(b) }

// next returns the next packet, or nil when the connection has ended.
func (r *raw) next() *packets.ControlPacket {
	r.t.Helper()
	select {
	case p := <-r.in:
		return p
	case <-time.After(5 * time.Second):
		r.t.Fatal("no packet in 5 s")
		return nil
	}
}

// connect sends a CONNECT and returns the CONNACK; nil when there is none.
func (r *raw) connect(id string, change func(*packets.Connect)) *packets.Connack {
	r.t.Helper()
	cp := packets.NewControlPacket(packets.CONNECT)
	c := cp.Content.(*packets.Connect)
	c.ClientID, c.CleanStart, c.KeepAlive = id, true, 60
	if change != nil {
		change(c)
	}
	r.write(cp)
	p := r.next()
	if p == nil {
		return nil
	}
	return p.Content.(*packets.Connack)
}

// publish sends a message.
func (r *raw) publish(topic string, qos byte, payload []byte, change func(*packets.Publish)) {
	r.t.Helper()
	cp := packets.NewControlPacket(packets.PUBLISH)
	p := cp.Content.(*packets.Publish)
	p.Topic, p.QoS, p.Payload = topic, qos, payload
	if qos > 0 {
		r.id++
		p.PacketID = r.id
	}
	if change != nil {
		change(p)
	}
	r.write(cp)
}

// puback returns the reason of the next packet, which must be a PUBACK.
func (r *raw) puback() byte {
	r.t.Helper()
	p := r.next()
	if p == nil || p.Type != packets.PUBACK {
		r.t.Fatalf("got %v, want a PUBACK", p)
	}
	return p.Content.(*packets.Puback).ReasonCode
}

// subscribe subscribes and returns the reasons.
func (r *raw) subscribe(qos byte, filters ...string) []byte {
	r.t.Helper()
	r.trySubscribe(qos, filters...)
	p := r.next()
	if p == nil || p.Type != packets.SUBACK {
		r.t.Fatalf("got %v, want a SUBACK", p)
	}
	return p.Content.(*packets.Suback).Reasons
}

func (r *raw) trySubscribe(qos byte, filters ...string) {
	r.t.Helper()
	cp := packets.NewControlPacket(packets.SUBSCRIBE)
	s := cp.Content.(*packets.Subscribe)
	r.id++
	s.PacketID = r.id
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, packets.SubOptions{Topic: f, QoS: qos})
	}
	r.write(cp)
}

// disconnected returns the reason of the DISCONNECT that must come next, and
// checks that the connection ends.
func (r *raw) disconnected() byte {
	r.t.Helper()
	p := r.next()
	if p == nil || p.Type != packets.DISCONNECT {
		r.t.Fatalf("got %v, want a DISCONNECT", p)
	}
	if after := r.next(); after != nil {
		r.t.Errorf("after the DISCONNECT came %v", after)
	}
	return p.Content.(*packets.Disconnect).ReasonCode
}

// message returns the next message that is delivered, and acknowledges it.
func (r *raw) message() *packets.Publish {
	r.t.Helper()
	p := r.next()
	if p == nil || p.Type != packets.PUBLISH {
		r.t.Fatalf("got %v, want a message", p)
	}
	m := p.Content.(*packets.Publish)
	if m.QoS > 0 {
		cp := packets.NewControlPacket(packets.PUBACK)
		cp.Content.(*packets.Puback).PacketID = m.PacketID
		r.write(cp)
	}
	return m
}

// quiet checks that nothing comes for a while.
func (r *raw) quiet(d time.Duration) {
	r.t.Helper()
	select {
	case p, ok := <-r.in:
		if ok {
			r.t.Errorf("got %v, want nothing", p)
		} else {
			r.t.Error("the connection has ended")
		}
	case <-time.After(d):
	}
}

// alive checks that the connection still works.
func (r *raw) alive() {
	r.t.Helper()
	r.write(packets.NewControlPacket(packets.PINGREQ))
	if p := r.next(); p == nil || p.Type != packets.PINGRESP {
		r.t.Errorf("got %v, want a PINGRESP", p)
	}
}

// up starts a stand-in and connects gateway-1 to it.
func up(t *testing.T, change func(*Options)) (*Cloud, *raw) {
	t.Helper()
	c := start(t, change)
	return c, join(t, c, "gateway-1")
}

// join connects another client.
func join(t *testing.T, c *Cloud, name string) *raw {
	t.Helper()
	r := dial(t, c, device(t, c, name))
	if ack := r.connect(name, nil); ack == nil || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %+v", ack)
	}
	return r
}

// inBubble runs a test in fake time, with a stand-in in memory.
func inBubble(t *testing.T, change func(*Options), f func(t *testing.T, c *Cloud)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, start(t, func(o *Options) {
			o.Network = new(Network)
			if change != nil {
				change(o)
			}
		}))
	})
}

func decode(t *testing.T, m *packets.Publish) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(m.Payload, &v); err != nil {
		t.Fatalf("%s: %v", m.Payload, err)
	}
	return v
}

// asMessage acknowledges a packet, which must be a message.
func asMessage(r *raw, p *packets.ControlPacket) *packets.Publish {
	r.t.Helper()
	m, ok := p.Content.(*packets.Publish)
	if !ok {
		r.t.Fatalf("got %v, want a message", p)
	}
	cp := packets.NewControlPacket(packets.PUBACK)
	cp.Content.(*packets.Puback).PacketID = m.PacketID
	r.write(cp)
	return m
}
