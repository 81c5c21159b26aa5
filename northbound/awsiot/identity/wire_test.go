package identity

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// flight returns what a client sends first with cfg.
func flight(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tls.Client(ours, cfg).HandshakeContext(ctx)
		_ = ours.Close()
	}()
	b := make([]byte, 1<<15)
	n, err := theirs.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	return b[:n]
}

func TestClientHello(t *testing.T) {
	w := &wire{}
	w.sent.write(flight(t, &tls.Config{ServerName: "cloud.example", NextProtos: []string{"x-amzn-mqtt-ca", "mqtt"},
		MinVersion: tls.VersionTLS12}))
	got, ok := w.clientHello()
	want := clientHello{serverName: "cloud.example", versions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		protocols: []string{"x-amzn-mqtt-ca", "mqtt"}, suites: got.suites}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(clientHello{})); !ok || got.suites == 0 || diff != "" {
		t.Errorf("ok %v\n%s", ok, diff)
	}
	w = &wire{}
	w.sent.write(flight(t, &tls.Config{ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}))
	if got, ok := w.clientHello(); !ok || got.serverName != "" || len(got.protocols) > 0 || !cmp.Equal(got.versions,
		[]uint16{tls.VersionTLS12}) {
		t.Errorf("an address and TLS 1.2: got %+v, %v", got, ok)
	}
}

// TestRetry: a server that wants another key share tells version and suite in
// its first hello.
func TestRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server(&tls.Config{ClientAuth: tls.RequireAnyClientCert, CurvePreferences: []tls.CurveID{tls.CurveP521}},
		answer(accept))
	report := Check(t.Context(), r.o)
	hello := report.Step(ServerHello)
	if !report.OK || len(hello.Facts) < 3 || hello.Facts[0].Value != "TLS 1.3" || hello.Facts[2].Key != "asks for" {
		t.Errorf("%+v", hello)
	}
	if s := report.Step(Finished); s.Facts[1].Value != "CurveP521" {
		t.Errorf("%+v", s)
	}
}

// TestHelloCut: a hello that is cut is refused, except just before its
// extensions: that is how hellos without any look.
func TestHelloCut(t *testing.T) {
	whole := flight(t, &tls.Config{ServerName: "cloud.example", NextProtos: []string{"x"}})[recordHeader+4:]
	if _, ok := parseClientHello(whole); !ok {
		t.Fatal("the whole is refused")
	}
	taken := 0
	for n := range whole {
		if h, ok := parseClientHello(whole[:n]); ok {
			taken++
			if h.serverName != "" || len(h.protocols) > 0 {
				t.Errorf("%d of %d bytes: %+v", n, len(whole), h)
			}
		}
	}
	if taken != 1 {
		t.Errorf("%d cut hellos are taken", taken)
	}
}

func TestStreamStops(t *testing.T) {
	for name, data := range map[string][]byte{
		"mail":          []byte("220 mail ready\r\n"),
		"too long":      {22, 3, 3, 0xff, 0xff},
		"encrypted":     {23, 3, 3, 0, 1, 0},
		"change cipher": {20, 3, 3, 0, 1, 1},
		"endless message": append(bytes.Repeat(append([]byte{22, 3, 3, 0x40, 0}, append([]byte{1, 0xff, 0xff, 0xff},
			make([]byte, 1<<14-4)...)...), 17), 0),
	} {
		var s stream
		s.write(data)
		if !s.opaque || len(s.record)+len(s.handshake) > 0 {
			t.Errorf("%s: it goes on, %d bytes kept", name, len(s.record)+len(s.handshake))
		}
	}
}

// FuzzStream checks that what is read does not depend on the pieces in which it
// comes, and that any hello can be looked at.
func FuzzStream(f *testing.F) {
	f.Add(flight(f, &tls.Config{ServerName: "cloud.example", NextProtos: []string{"x"}}), byte(3))
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0}, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, piece byte) {
		var whole, pieces stream
		whole.write(data)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			pieces.write(rest[:n])
			rest = rest[n:]
		}
		same := slices.EqualFunc(whole.messages, pieces.messages, func(a, b message) bool {
			return a.kind == b.kind &&
				bytes.Equal(a.body, b.body)
		})
		if !same || whole.opaque != pieces.opaque {
			t.Errorf("whole: %+v\nin pieces: %+v", whole, pieces)
		}
		for _, m := range whole.messages {
			if h, ok := parseClientHello(m.body); ok && len(h.serverName) > len(m.body) {
				t.Errorf("%+v", h)
			}
			parseServerHello(m.body)
		}
	})
}

// FuzzReceive checks that no answer to CONNECT makes the check fall over.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{0x20, 3, 0, 0, 0})
	f.Add([]byte{0x20, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{0xe0, 0})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cp, err := receive(bufio.NewReader(bytes.NewReader(data)))
		if (cp == nil) == (err == nil) {
			t.Errorf("got %v, %v", cp, err)
		}
	})
}
