package modbus

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"fieldbridge/setting"
	"fieldbridge/socket"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// busSpec is a bus, resolved. Buses with equal specs are the same.
type busSpec struct {
	name         string // as configured; the host where a device names its own
	address      address
	timeout      time.Duration
	retries      int
	pause        time.Duration
	connectDelay time.Duration
	idleClose    time.Duration
	pipeline     int
	serial       wire.Serial // of rtu://
	turns        bool        // rs485 counts
	rs485        wire.RS485
	tls          TLS // of tls://
}

// link says what the bus is, for people.
func (b busSpec) link() string {
	if b.address.scheme != "rtu" {
		return b.address.String()
	}
	return fmt.Sprintf("%s, %d baud %d%c%d", b.address, b.serial.Baud, b.serial.DataBits,
		strings.ToUpper(string(b.serial.Parity))[0], b.serial.StopBits)
}

// cost is what requests take on the bus before anything was measured, with a
// pause after each.
func (b busSpec) cost(pause time.Duration) plan.Cost {
	if b.address.scheme != "rtu" {
		return plan.Cost{Request: tcpRequest + pause, Word: tcpWord, Trip: tcpRequest}
	}
	char := b.serial.Char()
	still := b.serial.Silence() + max(pause, b.serial.Silence())
	return plan.Cost{Request: (rtuRequest+rtuAnswer)*char + still + turnaround, Word: 2 * char}
}

const (
	// What a request takes over TCP: PLCs answer in 2 to 20 ms, mostly once a
	// scan cycle, and registers hardly count.
	tcpRequest = 5 * time.Millisecond
	tcpWord    = 10 * time.Microsecond
	// Characters of a read and of its answer without the data, and the time that
	// a unit thinks.
	rtuRequest = 8
	rtuAnswer  = 5
	turnaround = 5 * time.Millisecond
)

// newLink returns the link of a bus.
func newLink(spec busSpec, dial dialFunc) wire.Carrier {
	o := wire.Options{Dial: dial(spec), ConnectTimeout: spec.timeout, ConnectDelay: spec.connectDelay}
	if spec.pipeline > 1 {
		return wire.NewShared(o)
	}
	if !spec.address.rtu() {
		return wire.NewTCP(o)
	}
	if spec.address.scheme == "rtu" {
		o.Char = spec.serial.Char()
		o.Silence = spec.serial.Silence()
	}
	return wire.NewRTU(o)
}

// dial returns how to reach a bus.
func dial(spec busSpec) func(context.Context) (wire.Stream, error) {
	switch spec.address.scheme {
	case "rtu":
		port := spec.serial
		if spec.turns {
			port.RS485 = &spec.rs485
		}
		return func(context.Context) (wire.Stream, error) { return wire.OpenSerial(port) }
	case "tls":
		return func(ctx context.Context) (wire.Stream, error) {
			config, err := spec.tls.load(spec.address.host)
			if err != nil {
				return nil, err
			}
			c, err := socket.Dial(ctx, "tcp", spec.address.host)
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
	}
	return func(ctx context.Context) (wire.Stream, error) { return socket.Dial(ctx, "tcp", spec.address.host) }
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
	return config, nil
}
