package rig

import (
	"io"
	"net"
	"time"
)

// Collector is a connection that only collects.
type Collector struct{ To *[]byte }

func (a *Collector) Write(b []byte) (int, error)      { *a.To = append(*a.To, b...); return len(b), nil }
func (*Collector) Read([]byte) (int, error)           { return 0, io.EOF }
func (*Collector) Close() error                       { return nil }
func (*Collector) LocalAddr() net.Addr                { return nil }
func (*Collector) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (*Collector) SetDeadline(time.Time) error        { return nil }
func (*Collector) SetReadDeadline(time.Time) error    { return nil }
func (*Collector) SetWriteDeadline(t time.Time) error { return nil }

// Pieces is a connection that says something in pieces, and ends.
type Pieces struct {
	Collector
	Rest  []byte
	Piece int
}

func (p *Pieces) Read(b []byte) (int, error) {
	if len(p.Rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.Rest[:min(len(p.Rest), p.Piece)])
	p.Rest = p.Rest[n:]
	return n, nil
}
