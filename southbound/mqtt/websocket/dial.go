package websocket

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// Dial connects to url, which begins with ws:// or wss://; dial makes the
// connection below, with TLS if it begins with wss.
func Dial(ctx context.Context, url string, dial func(ctx context.Context) (net.Conn, error)) (net.Conn, error) {
	under, stop := &below{}, func() bool { return true }
	defer func() { stop() }()
	open := func(ctx context.Context, _, _ string) (nc net.Conn, err error) {
		if under.Conn, err = dial(ctx); err != nil {
			return nil, err
		}
		stop = context.AfterFunc(ctx, func() { _ = under.Conn.Close() })
		return ofLibrary{under}, nil
	}
	d := websocket.Dialer{NetDialContext: open, NetDialTLSContext: open, Subprotocols: subprotocols[:1],
		ReadBufferSize: bufferSize, WriteBufferSize: bufferSize}
	ws, answer, err := d.DialContext(ctx, url, nil)
	if answer != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, bufferSize))
		_ = answer.Body.Close()
	}
	switch {
	case err != nil && answer != nil && answer.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("no WebSocket there (HTTP %s): check host, port and path", answer.Status)
	case err != nil:
		return nil, err
	case !stop():
		return nil, ctx.Err()
	}
	return &conn{below: under, ws: ws}, nil
}
