package uplink

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

// falseCloud takes one connection as the cloud would, up to the CONNACK, and then
// hands each packet to answer, which writes what it likes.
func falseCloud(t *testing.T, connack []byte, answer func(w io.Writer, p *packets.ControlPacket)) Config {
	t.Helper()
	dir := t.TempDir()
	server := issue(t, dir, "server", awsiottest.Terms{Hosts: []string{"localhost"}})
	device := issue(t, dir, "gateway-1", awsiottest.Terms{})
	pair, err := tls.LoadX509KeyPair(server.Certificate, server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			p, err := packets.ReadPacket(conn)
			if err != nil {
				return
			}
			if p.Type == packets.CONNECT {
				if _, err := conn.Write(connack); err != nil {
					return
				}
				continue
			}
			answer(conn, p)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	cfg := validConfig()
	cfg.Endpoint, cfg.ServerName = l.Addr().String(), "localhost"
	cfg.CA = setting.Path(filepath.Join(dir, "ca.pem"))
	cfg.AckTimeout = setting.Duration(300 * time.Millisecond)
	cfg.ConnectTimeout = setting.Duration(time.Minute)
	use(&cfg, device)
	return cfg
}

func goodConnack(properties *packets.Properties) []byte {
	var b bytes.Buffer
	p := packets.NewControlPacket(packets.CONNACK)
	if properties != nil {
		p.Content.(*packets.Connack).Properties = properties
	}
	if _, err := p.WriteTo(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// answering writes a packet of kind with the id of each PUBLISH or SUBSCRIBE.
func answering(to, kind byte) func(io.Writer, *packets.ControlPacket) {
	return func(w io.Writer, p *packets.ControlPacket) {
		if p.Type != to {
			return
		}
		id := p.PacketID()
		body := []byte{byte(id >> 8), byte(id), 0}
		if kind == packets.SUBACK || kind == packets.UNSUBACK {
			body = append(body, 0)
		}
		flags := byte(0)
		_, _ = w.Write(append([]byte{kind<<4 | flags, byte(len(body))}, body...)) // the session may have ended
	}
}

func raw(b ...byte) func(io.Writer, *packets.ControlPacket) {
	return func(w io.Writer, p *packets.ControlPacket) {
		if p.Type == packets.PUBLISH {
			_, _ = w.Write(b)
		}
	}
}

// TestMisbehavingCloud: whatever the cloud answers, the session ends soon, every
// message gets its outcome, none of them is taken for acknowledged or refused for
// good, and what is said of it is of use.
func TestMisbehavingCloud(t *testing.T) {
	huge := uint32(32)
	none := func(io.Writer, *packets.ControlPacket) {}
	const broke, more = "broke the protocol", "sends more than it may"
	for name, tt := range map[string]struct {
		connack []byte
		answer  func(io.Writer, *packets.ControlPacket)
		want    string
	}{
		"SUBACK for a message":   {nil, answering(packets.PUBLISH, packets.SUBACK), broke},
		"UNSUBACK for a message": {nil, answering(packets.PUBLISH, packets.UNSUBACK), broke},
		"PUBREC for a message":   {nil, answering(packets.PUBLISH, packets.PUBREC), broke},
		"PUBCOMP for a message":  {nil, answering(packets.PUBLISH, packets.PUBCOMP), broke},
		"a packet of 268 MB":     {nil, raw(packets.PUBLISH<<4, 0xff, 0xff, 0xff, 0x7f), more},
		"a packet of 200 KiB":    {nil, raw(packets.PUBLISH<<4|2, 0x80, 0x80, 0x0d), more},
		"a length without end":   {nil, raw(packets.PUBLISH<<4, 0xff, 0xff, 0xff, 0xff, 0xff, 1), more},
		"silence":                {nil, none, "acknowledges nothing"},
		"unknown id":             {nil, raw(packets.PUBACK<<4, 2, 0x77, 0x77), "acknowledges nothing"},
		"a reserved type":        {nil, raw(0, 0), ""},
		"a second CONNACK":       {nil, raw(goodConnack(nil)...), ""},
		"cut within a packet":    {nil, raw(packets.PUBLISH<<4, 100, 0), ""},
		"tiny packets": {goodConnack(&packets.Properties{MaximumPacketSize: &huge}), none,
			"takes packets of at most 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.connack == nil {
				tt.connack = goodConnack(nil)
			}
			cfg := falseCloud(t, tt.connack, tt.answer)
			if tt.want == broke || tt.want == more { // however busy the machine, it is not the silence before
				cfg.AckTimeout = setting.Duration(time.Minute)
			}
			a := &Attempt{Config: &cfg, Client: "gateway-1", Network: new(Machine), Reached: someWill, Sent: func() {}}
			s, err := a.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.Answered = func(string, byte) {}
			watched := make(chan struct{})
			go func() { defer close(watched); s.Watch() }()
			const messages = 5
			outcomes := make(chan error, messages)
			for range messages {
				s.Publish(bridge.Message{Topic: "plant/a", Payload: make([]byte, 100)}, func(err error) { outcomes <- err })
			}
			limit := time.After(time.Minute)
			select {
			case <-s.Context().Done():
			case <-limit:
				t.Fatal("the session goes on")
			}
			err = s.Close()
			for range messages {
				select {
				case outcome := <-outcomes:
					if outcome == nil || bridge.IsPermanent(outcome) {
						t.Errorf("outcome %v", outcome)
					}
				case <-limit:
					t.Fatal("a message has no outcome")
				}
			}
			<-watched
			if e := Explain(err); !strings.Contains(e.Text, tt.want) {
				t.Errorf("explained as %q, want %q (%v)", e.Text, tt.want, err)
			}
		})
	}
}

// TestConnackOfAnySize: a CONNACK that claims 268 MB takes no memory and no time.
func TestConnackOfAnySize(t *testing.T) {
	cfg := falseCloud(t, []byte{packets.CONNACK << 4, 0xff, 0xff, 0xff, 0x7f, 0},
		func(io.Writer, *packets.ControlPacket) {})
	a := &Attempt{Config: &cfg, Client: "gateway-1", Network: new(Machine), Reached: someWill, Sent: func() {}}
	_, err := a.Open(t.Context())
	var long *tooLongError
	if !errors.As(err, &long) {
		t.Errorf("got %v", err)
	}
}

// TestSubscribeAnswered: a PUBACK with the id of a SUBSCRIBE ends the session,
// and the one who waits for the SUBACK learns it.
func TestSubscribeAnswered(t *testing.T) {
	for _, kind := range []byte{packets.PUBACK, packets.UNSUBACK} {
		cfg := falseCloud(t, goodConnack(nil), answering(packets.SUBSCRIBE, kind))
		a := &Attempt{Config: &cfg, Client: "gateway-1", Network: new(Machine), Reached: someWill, Sent: func() {}}
		s, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Answered = func(string, byte) {}
		start := time.Now()
		err = s.Subscribe(t.Context(), "a/b")
		if took := time.Since(start); err == nil || took > 45*time.Second {
			t.Errorf("answer of type %d: %v after %v", kind, err, took)
		}
		var wrong *protocolError
		if err := s.Close(); !errors.As(err, &wrong) {
			t.Errorf("answer of type %d: ended by %v", kind, err)
		}
	}
}

// FuzzLengths: however a stream is cut, a packet that is too long is found, and
// none that is not.
func FuzzLengths(f *testing.F) {
	f.Add([]byte{0x30, 3, 1, 2, 3, 0x30, 0}, uint8(1))
	f.Add([]byte{0x30, 0x80, 0x80, 0x01}, uint8(2))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		const most = 1000
		whole := lengths{most: most}
		check := func(l *lengths, b []byte) error {
			for len(b) > 0 {
				n, err := l.next(b)
				if err != nil {
					return err
				}
				b = b[n:]
			}
			return nil
		}
		want := check(&whole, stream) != nil
		parts := lengths{most: most}
		got := false
		for rest := stream; len(rest) > 0 && !got; {
			n := min(len(rest), int(cut)+1)
			got = check(&parts, rest[:n]) != nil
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("in parts of %d: %v, whole: %v", int(cut)+1, got, want)
		}
	})
}

var _ net.Conn = (*packetConn)(nil)
