// Package socket makes connections that cost few wake-ups.
//
// Go announces each system call to its scheduler, because a call may block. The
// announcement wakes the scheduler's monitor, a thread of its own, which then
// looks around several times before it sleeps again. In a gateway that sleeps
// between any two packets, those wake-ups cost more than the packets. Reads and
// writes of a descriptor that does not block, as Go sets sockets, need no
// announcement: these connections make them without.
package socket

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
)

// Dial is [net.Dialer.DialContext] with a connection of this package.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return Wrap(c), nil
}

// Wrap returns c with cheaper reads and writes, or c itself where there is no
// way to make them cheaper. As with c, several goroutines may use it at once.
func Wrap(c net.Conn) net.Conn {
	calls := callsOf(c)
	if calls == nil {
		return c
	}
	return &conn{c, calls}
}

// A TryWriter can write without waiting. What [Dial] and [Wrap] return is one
// where the way of this package was found.
type TryWriter interface {
	// TryWrite writes as much of b as there is room for now, perhaps nothing, and
	// returns how many bytes those were.
	TryWrite(b []byte) (int, error)
}

// File is an [os.File] with cheaper reads and writes, of a descriptor that does
// not block: a serial port opened so, for instance.
type File struct {
	*os.File
	calls *calls
}

// WrapFile returns f with cheaper reads and writes, where there is a way.
func WrapFile(f *os.File) *File { return &File{f, callsOf(f)} }

// Read is [os.File.Read].
func (f *File) Read(b []byte) (int, error) {
	if f.calls == nil {
		return f.File.Read(b)
	}
	n, err := f.calls.read(b)
	return n, f.error("read", err)
}

// Write is [os.File.Write].
func (f *File) Write(b []byte) (int, error) {
	if f.calls == nil {
		return f.File.Write(b)
	}
	n, err := f.calls.write(b)
	return n, f.error("write", err)
}

func (f *File) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

// conn is a connection with its own reads and writes.
type conn struct {
	net.Conn
	calls *calls
}

// SyscallConn implements syscall.Conn.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.calls.raw, nil }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.calls.read(b)
	return n, c.error("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.calls.write(b)
	return n, c.error("write", err)
}

// TryWrite implements [TryWriter].
func (c *conn) TryWrite(b []byte) (int, error) {
	n, err := c.calls.try(b)
	return n, c.error("write", err)
}

// error returns err as package net words it.
func (c *conn) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if e, ok := err.(*net.OpError); ok { // of the wait
		err = e.Err
	} else {
		err = os.NewSyscallError(op, err)
	}
	a := c.RemoteAddr()
	return &net.OpError{Op: op, Net: a.Network(), Source: c.LocalAddr(), Addr: a, Err: err}
}
