package site

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/url"

	"fieldbridge/blackbox"
	"fieldbridge/socket"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/websocket"
)

// url returns the address that is used, or will be tried next.
func (s *Client) url() string { return s.config.URL[s.at.Load()] }

// next goes on to the next address, and reports whether it is to be tried at once:
// the addresses of a broker are tried one after the other, then there is a pause.
// A connection that broke is first tried again where it was.
func (s *Client) next(worked bool) (atOnce bool) {
	n := int64(len(s.config.URL))
	if worked {
		s.tried = 0
		return false
	}
	s.at.Store((s.at.Load() + 1) % n)
	s.tried = (s.tried + 1) % n
	return s.tried != 0
}

// stateKey is where the subscriptions at an address are remembered: the brokers of
// a pair may each have their own.
func (s *Client) stateKey() string {
	key := fmt.Sprintf("mqtt.subscriptions.%x", s.name)
	if s.at.Load() == 0 {
		return key
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.url()))
	return fmt.Sprintf("%s.%08x", key, h.Sum32())
}

func (s *Client) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := s.dialURL(ctx, s.url())
	if err != nil {
		s.Tape.Say(0, err.Error())
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			err = op.Err // the address stands in the URL
		}
		return nil, fmt.Errorf("connect to %s: %w", s.url(), err)
	}
	return newConn(blackbox.PacketConn(nc, s.Tape, "connected to "+s.url())), nil
}

func (s *Client) dialURL(ctx context.Context, address string) (net.Conn, error) {
	u, err := inlet.ParseURL(address)
	if err != nil {
		return nil, err
	}
	below := func(ctx context.Context) (net.Conn, error) { return s.dialBelow(ctx, u) }
	if inlet.WebSocket(u) {
		return websocket.Dial(ctx, address, below)
	}
	return below(ctx)
}

// dialBelow connects with TCP, and TLS if the URL asks for it.
func (s *Client) dialBelow(ctx context.Context, u *url.URL) (net.Conn, error) {
	if !inlet.Secure(u) {
		return socket.Dial(ctx, "tcp", u.Host)
	}
	config, err := clientTLS(s.config.TLS, u.Hostname())
	if err != nil {
		return nil, err
	}
	nc, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, explainTLS(err)
	}
	return nc, nil
}

// secure reports whether the present address asks for TLS.
func (s *Client) secure() bool {
	u, err := inlet.ParseURL(s.url())
	return err == nil && inlet.Secure(u)
}
