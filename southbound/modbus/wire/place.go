package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"fieldbridge/setting"
	"fieldbridge/socket"
)

// Place is where a bus is and how it is reached. Equal places are the same.
type Place struct {
	Address        Address
	ConnectTimeout time.Duration
	ConnectDelay   time.Duration // between connecting and the first request
	Pipeline       int           // requests at once; more than 1 over TCP only
	Unnumbered     bool          // answers over TCP do not repeat the transaction id
	Serial         Serial        // of rtu:// and ascii://
	Turns          bool          // RS485 counts
	RS485          RS485
	TLS            TLS // of tls://
}

// TLS are the files and the name of a connection by TLS; see [setting.TLSFiles].
type TLS struct {
	CA, Certificate, PrivateKey setting.Path
	ServerName                  string              // in the device's certificate; "" is its host
	Fingerprint                 setting.Fingerprint // of the device's certificate; "" is any that CA vouches for
}

// String says for people what is there.
func (p Place) String() string {
	if !p.Address.Serial() {
		return p.Address.String()
	}
	return fmt.Sprintf("%s, %d baud %d%c%d", p.Address, p.Serial.Baud, p.Serial.DataBits,
		strings.ToUpper(string(p.Serial.Parity))[0], p.Serial.StopBits)
}

// Link returns what carries requests to p over the streams that dial makes, as
// [Place.Dial] does. It does not connect.
func (p Place) Link(dial func(context.Context) (Stream, error)) Carrier {
	o := Options{Dial: dial, ConnectTimeout: p.ConnectTimeout, ConnectDelay: p.ConnectDelay,
		Datagrams: p.Address.Scheme == "udp", Unnumbered: p.Unnumbered && p.Address.Numbered()}
	if p.Pipeline > 1 {
		return NewShared(o)
	}
	if p.Address.Numbered() {
		return NewTCP(o)
	}
	if p.Address.Serial() {
		o.Char = p.Serial.Char()
		o.Silence = p.Serial.Silence()
	}
	if p.Address.ASCII() {
		return NewASCII(o)
	}
	return NewRTU(o)
}

// Dial connects to p, or opens its port. It ends with ctx; the files of TLS are
// read each time.
func (p Place) Dial(ctx context.Context) (Stream, error) {
	switch p.Address.Scheme {
	case "rtu", "ascii":
		port := p.Serial
		if p.Turns {
			port.RS485 = &p.RS485
		}
		return OpenSerial(port)
	case "tls":
		return p.secure(ctx)
	case "udp":
		// Not by package socket, to which an empty datagram is an end.
		return new(net.Dialer).DialContext(ctx, "udp", p.Address.Host)
	}
	return socket.Dial(ctx, "tcp", p.Address.Host)
}

func (p Place) secure(ctx context.Context) (Stream, error) {
	config, err := p.TLS.load(p.Address.Host)
	if err != nil {
		return nil, err
	}
	c, err := socket.Dial(ctx, "tcp", p.Address.Host)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close() // the handshake's error says more
		return nil, err
	}
	return secure, nil
}

// load reads the files and returns the configuration of a connection to host.
func (t TLS) load(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(host)
	}
	files := setting.TLSFiles{Certificate: t.Certificate, PrivateKey: t.PrivateKey, CA: t.CA}
	var err error
	if config.RootCAs, err = files.Pool(); err != nil {
		return nil, err
	}
	if t.Certificate != "" {
		certificate, err := files.Pair()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, t.Fingerprint.Pin(config)
}
