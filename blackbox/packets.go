package blackbox

import (
	"encoding/binary"
)

// Packets cuts one direction of an MQTT connection into packets and records of
// each what anybody may see: never a payload, a user name, a password, a last will
// or a property. It is for one goroutine. The zero Packets records nothing.
type Packets struct {
	tape      *Tape
	direction Direction
	conn      uint32

	begun []byte // of a packet of which more comes
	size  int    // of that packet, with its header; 0 if it is not known
	rest  int    // bytes of a packet that are not looked at any more
	lost  bool   // what comes is not MQTT
}

// NewPackets records packets of a connection of a tape.
func NewPackets(t *Tape, d Direction, conn uint32) Packets {
	return Packets{tape: t, direction: d, conn: conn}
}

// mostOutline is how much of a packet is looked at.
const mostOutline = 512

// Write records the packets in b, which is what was read or written next.
func (p *Packets) Write(b []byte) {
	for p.tape != nil && len(b) > 0 && !p.lost {
		if p.rest > 0 {
			n := min(p.rest, len(b))
			p.rest, b = p.rest-n, b[n:]
			continue
		}
		whole := b
		if len(p.begun) > 0 {
			whole = append(p.begun, b[:min(len(b), mostOutline)]...)
		}
		size, n := length(whole)
		if n < 0 {
			p.lost = true
			p.tape.Add(p.direction, p.conn, nil, len(b))
			return
		}
		want := min(size, mostOutline)
		if n == 0 || len(whole) < want {
			p.begun = append(p.begun, b...) // fewer than mostOutline
			return
		}
		out := outline(whole[:want], n)
		p.tape.Add(p.direction, p.conn, out, size)
		used := want - len(p.begun)
		p.begun, p.rest, b = nil, size-want, b[used:]
	}
}

// length returns how long the packet at the start of b is, and where its variable
// header begins: 0 if more must be read to know it, -1 if it is none (MQTT 5,
// section 1.5.5).
func length(b []byte) (size, header int) {
	if len(b) < 2 {
		return 0, 0
	}
	rest, n := binary.Uvarint(b[1:min(len(b), 5)])
	switch {
	case n == 0 && len(b) < 5:
		return 0, 0
	case n <= 0:
		return 0, -1
	}
	return 1 + n + int(rest), 1 + n
}

// The types of packets (section 2.1.2).
const (
	connect     = 1
	connack     = 2
	publish     = 3
	subscribe   = 8
	suback      = 9
	unsubscribe = 10
	unsuback    = 11
	disconnect  = 14
	auth        = 15
)

// outline returns what may be seen of a packet whose variable header begins at n.
func outline(b []byte, n int) []byte {
	switch b[0] >> 4 {
	case connect:
		return connectOutline(b, n)
	case publish:
		end, ok := text(b, n)
		if ok && b[0]&0x06 != 0 {
			end += 2
		}
		return b[:min(end, len(b))]
	case subscribe, unsubscribe:
		return b[:min(n+2, len(b))] // that it came; topics of others are in what is published
	case connack, auth:
		return b[:min(n+2, len(b))]
	case suback, unsuback:
		return b
	}
	return b[:min(n+3, len(b))]
}

// connectOutline returns the protocol, the flags, the keep-alive and, without
// properties, the client id of a CONNECT (section 3.1).
func connectOutline(b []byte, n int) []byte {
	at, ok := text(b, n)
	if !ok || len(b) < at+4 {
		return b[:n]
	}
	version := b[at]
	at += 4
	out := append([]byte(nil), b[:at]...)
	if version >= 5 {
		length, n := binary.Uvarint(b[at:])
		if n <= 0 || length > uint64(len(b)-at-n) {
			return out
		}
		at += n + int(length)
	}
	if end, ok := text(b, at); ok {
		out = append(out, b[at:end]...)
	}
	return out
}

// text returns the end of the string at b[at:]; it is not whole if not ok.
func text(b []byte, at int) (end int, ok bool) {
	if len(b) < at+2 {
		return len(b), false
	}
	end = at + 2 + int(binary.BigEndian.Uint16(b[at:]))
	return min(end, len(b)), end <= len(b)
}
