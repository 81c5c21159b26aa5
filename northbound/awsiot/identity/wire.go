package identity

import (
	"encoding/binary"
	"net"
	"time"
)

// wire is a TCP connection that reads along what TLS sends in the clear. It is
// used by one goroutine at a time.
type wire struct {
	net.Conn
	sent, received stream
	firstSent      time.Time
	firstReceived  time.Time
}

func (w *wire) Write(b []byte) (int, error) {
	if w.firstSent.IsZero() {
		w.firstSent = time.Now()
	}
	n, err := w.Conn.Write(b)
	w.sent.write(b[:n])
	return n, err
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && w.firstReceived.IsZero() {
		w.firstReceived = time.Now()
	}
	w.received.write(b[:n])
	return n, err
}

// clientHello returns the first that was sent.
func (w *wire) clientHello() (clientHello, bool) {
	body, ok := w.sent.first(typeClientHello)
	if !ok {
		return clientHello{}, false
	}
	return parseClientHello(body)
}

// serverHello returns the first that was received. One that asks to try again
// has already the version and the suite of the next.
func (w *wire) serverHello() (serverHello, bool) {
	body, ok := w.received.first(typeServerHello)
	if !ok {
		return serverHello{}, false
	}
	return parseServerHello(body)
}

// Record types (RFC 8446, 5.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplication      = 23
)

const (
	recordHeader = 5
	// maxRecord is the most that a record may have (RFC 5246, 6.2.3).
	maxRecord = 1<<14 + 2048
	// maxClear is the most of a stream that is looked at.
	maxClear = 1 << 18
)

// stream takes one direction of a TLS connection apart, as long as it is not
// encrypted: records, and the handshake messages in them.
type stream struct {
	record    []byte // not complete yet
	handshake []byte // of a message that is not complete yet
	total     int    // bytes of handshake so far
	opaque    bool   // encrypted, or no TLS: nothing more to read
	messages  []message
}

// message is a handshake message.
type message struct {
	kind byte
	body []byte
}

// first returns the body of the first message of a kind.
func (s *stream) first(kind byte) ([]byte, bool) {
	for _, m := range s.messages {
		if m.kind == kind {
			return m.body, true
		}
	}
	return nil, false
}

// write takes the next bytes, in whatever pieces.
func (s *stream) write(b []byte) {
	if s.opaque {
		return
	}
	s.record = append(s.record, b...)
	for !s.opaque && len(s.record) >= recordHeader {
		kind, size := s.record[0], int(binary.BigEndian.Uint16(s.record[3:]))
		if kind < recordChangeCipherSpec || kind > recordApplication || size > maxRecord {
			s.end()
			return
		}
		if len(s.record) < recordHeader+size {
			return
		}
		body := s.record[recordHeader : recordHeader+size]
		s.record = s.record[recordHeader+size:]
		s.take(kind, body)
	}
}

// take takes a whole record.
func (s *stream) take(kind byte, body []byte) {
	switch kind {
	case recordAlert: // crypto/tls reports it, with what it means
	case recordHandshake:
		if s.total += len(body); s.total > maxClear {
			s.end()
			return
		}
		s.handshake = append(s.handshake, body...)
		for len(s.handshake) >= 4 {
			size := int(s.handshake[1])<<16 | int(s.handshake[2])<<8 | int(s.handshake[3])
			if len(s.handshake) < 4+size {
				return
			}
			s.messages = append(s.messages, message{s.handshake[0], s.handshake[4 : 4+size : 4+size]})
			s.handshake = s.handshake[4+size:]
		}
	default: // from here on it is encrypted
		s.end()
	}
}

func (s *stream) end() { s.opaque, s.record, s.handshake = true, nil, nil }
