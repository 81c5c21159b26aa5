package broker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
)

// FuzzBroker sends a broker whatever a client may send: it must not keep the
// connection's goroutines, nor panic but where mochi is known to, when it reads a
// packet that is too short.
func FuzzBroker(f *testing.F) {
	connect4 := "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c"
	connect5 := "\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c"
	for _, s := range []string{
		"", "\x10", connect4, connect5,
		connect4 + "\x32\x09\x00\x05t/a/p\x00\x01" + "\xc0\x00\xe0\x00",
		connect5 + "\x30\x0b\x00\x05t/a/p\x03\x23\x00\x01\x31" + "\x34\x09\x00\x00\x00\x01\x03\x23\x00\x01\x31" +
			"\x62\x02\x00\x01",
		connect4 + "\x32\x0b\x00\x05t/a/p\x00\x0111" + "\x32\x0b\x00\x05t/a/p\x00\x0222" + "\x32\x09\x00\x05t/a/p\x00\x00" +
			"\x3a\x0b\x00\x05t/a/p\x00\x0222",
		connect4 + "\x82\x06\x00\x01\x00\x01#\x01" + "\x31\x08\x00\x05t/a/px" + "\xa2\x05\x00\x01\x00\x01#",
		connect5 + "\x82\x0f00\x00\x00\x000\x00\x000\x00\x040000", // the last filter has no options
		connect5 + "\x82\x0f\x00\x01\x00\x00\x09$share/g/#\x01" + "\xf0\x02\x18\x00",
		"\x10\x1f\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01c\x05\x18\x00\x00\x00\x01\x00\x01w\x00\x01x",
	} {
		f.Add([]byte(s))
	}
	e, err := New("local", inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	e.ingest = func(m inlet.Message, safe func(error)) {
		if safe != nil {
			safe(nil)
		}
	}
	if err := e.serve(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(e.stop)
	f.Fuzz(func(t *testing.T, sent []byte) {
		here, there := net.Pipe()
		c := e.admit(there, there)
		done := make(chan error, 1)
		go func() { done <- e.establish(c) }()
		go func() { _, _ = io.Copy(io.Discard, here) }()
		_ = here.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = here.Write(sent)
		_ = here.Close()
		select {
		case err := <-done:
			if errors.Is(err, errPanic) && !strings.Contains(err.Error(), "Decode(") {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the connection is still served")
		}
		_ = c.Close()
		e.mu.Lock()
		delete(e.conns, c)
		e.mu.Unlock()
	})
}
