package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/wire"
)

// TestStrayBytes: a peer that sends without end is hung up on before a request,
// at once; who only left some frames lying is not.
func TestStrayBytes(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes int
		want  string
	}{"some frames": {2000, ""}, "without end": {1 << 20, "more than 4096 bytes came that nobody asked for"}} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			sent, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer func() { _ = c.Close() }()
				if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err == nil {
					_, _ = c.Write(make([]byte, tt.bytes)) // as much as fits in the buffers
				}
				close(sent)
				_, _ = io.Copy(io.Discard, c) // until it is hung up on
			}()
			link := wire.NewRTU(wire.Options{ConnectTimeout: patient, Dial: func(ctx context.Context) (wire.Stream, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
				if err == nil {
					<-sent
				}
				return c, err
			}})
			client := wire.NewClient(link)
			client.To(t.Context(), 1, 50*time.Millisecond)
			_, err = client.Read(wire.Holding, 0, 1)
			var broken *wire.DisconnectError
			if got := errors.As(err, &broken); got != (tt.want != "") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			link.Close()
			<-done
		})
	}
}
