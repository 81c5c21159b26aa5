package wire

import (
	"encoding/binary"
	"sync/atomic"
)

// datagrams is a stream over UDP on which each frame is a datagram of its own. A
// datagram that is not one whole frame is thrown away: what another host sent says
// nothing of the device, and the next datagram is whole again.
type datagrams struct {
	Stream
	strays *atomic.Uint64
}

// Read returns the next frame. The buffer must be longer than any.
func (d datagrams) Read(b []byte) (int, error) {
	for {
		n, err := d.Stream.Read(b)
		if err != nil || isFrame(b[:n]) {
			return n, err
		}
		d.strays.Add(1)
	}
}

// broken is that a stream failed. On a socket for datagrams that is what the host
// or the network said: there is no connection that could end.
func (o Options) broken(err error) error {
	if o.Datagrams {
		return &ConnectError{cause(err)}
	}
	return &DisconnectError{cause(err)}
}

// isFrame reports whether b is an answer with an MBAP header, and no more.
func isFrame(b []byte) bool {
	return len(b) > mbapSize+1 && len(b) <= maxADU && binary.BigEndian.Uint16(b[2:]) == 0 &&
		int(binary.BigEndian.Uint16(b[4:])) == len(b)-6
}
