package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// Device is the TPM behind the kernel's resource manager. What other programs leave
// in the TPM is in the way at /dev/tpm0.
const Device = "/dev/tpmrm0"

// A TPM that is busy is asked again after again, and no call takes longer than most:
// a chip makes a key in a second, and signs in 0.2 s.
const (
	again = 200 * time.Millisecond
	most  = 20 * time.Second
)

// Chip is a TPM. Its methods can be called by several goroutines: one works with the
// TPM, the others wait.
type Chip struct {
	open func() (io.ReadWriteCloser, error)
	turn chan struct{} // holds a value while somebody works with the TPM
}

// At returns the TPM at path: a device or, for a TPM in software, a Unix socket.
func At(path string) *Chip {
	return &Chip{open: func() (io.ReadWriteCloser, error) { return open(path) }, turn: make(chan struct{}, 1)}
}

// Machine returns the TPM of this machine. The variable FIELDBRIDGE_TPM of the
// environment names its device if it is not [Device], or a TPM in software.
func Machine() *Chip {
	c := At(Device)
	c.open = func() (io.ReadWriteCloser, error) {
		if path := os.Getenv("FIELDBRIDGE_TPM"); path != "" {
			return open(path)
		}
		return open(Device)
	}
	return c
}

// open opens a device as one that blocks: read of one that does not returns nothing,
// as at the end of a file, as long as there is no answer.
func open(path string) (io.ReadWriteCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == fs.ModeSocket {
		return net.Dial("unix", path)
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// use has do work with the TPM, which it opens for it. It tries again while somebody
// else has it open, and once more after any other trouble.
func (c *Chip) use(ctx context.Context, do func(*conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errSilent)
	defer cancel()
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	// What the kernel does not end cannot be ended here: the next one waits for it.
	go func() {
		defer func() { <-c.turn }()
		done <- c.tries(ctx, do)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Chip) tries(ctx context.Context, do func(*conn) error) error {
	for failed := false; ; {
		err := c.once(ctx, do)
		busy := errors.Is(err, syscall.EBUSY)
		if err == nil || !busy && (failed || isFinal(err)) || !wait(ctx) {
			return err
		}
		failed = failed || !busy
	}
}

// wait waits until it is time to try again. It reports whether there is time for it.
func wait(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < 2*again {
		return false
	}
	select {
	case <-time.After(again):
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Chip) once(ctx context.Context, do func(*conn) error) error {
	rw, err := c.open()
	if err != nil {
		return fmt.Errorf("the TPM cannot be opened: %w", err)
	}
	closes := func() { _ = rw.Close() }
	defer closes()
	defer context.AfterFunc(ctx, closes)() // ends what waits at a socket
	return do(&conn{ctx, rw})
}

// conn is the TPM while it is open.
type conn struct {
	ctx context.Context
	rw  io.ReadWriter
}

// mostResponse is what the kernel's buffer takes.
const mostResponse = 4096

// ask sends a command and returns what follows the header of the response. It sends it
// again while the TPM is busy.
func (c *conn) ask(cmd *command) (*reader, error) {
	for {
		r, err := c.askOnce(cmd)
		if !isBusy(err) || !wait(c.ctx) {
			return r, err
		}
	}
}

func (c *conn) askOnce(cmd *command) (*reader, error) {
	if _, err := c.rw.Write(cmd.bytes()); err != nil {
		return nil, fmt.Errorf("the TPM takes no command: %w", err)
	}
	buf := make([]byte, mostResponse)
	n, size := 0, headerSize
	for n < size {
		more, err := c.rw.Read(buf[n:])
		n += more
		if n >= headerSize {
			size = int(binary.BigEndian.Uint32(buf[2:]))
		}
		if n < size && err == nil && more == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && n < size {
			return nil, fmt.Errorf("the TPM does not answer: %w", err)
		}
		if size < headerSize || size > mostResponse {
			return nil, errGarbled
		}
	}
	if rc := Code(binary.BigEndian.Uint32(buf[6:])); rc != 0 {
		return nil, rc
	}
	return &reader{rest: buf[headerSize:size]}, nil
}

// primary makes the parent of our keys, which the TPM derives from its owner's seed:
// it is the same one each time.
func (c *conn) primary(hierarchy uint32, template []byte) (handle uint32, public []byte, err error) {
	r, err := c.ask(newCommand(ccCreatePrimary, hierarchy).sensitive().sized(template).sized(nil).u32(0))
	if err != nil {
		return 0, nil, err
	}
	handle = r.u32()
	r.u32() // size of what follows
	public = r.sized()
	return handle, public, r.err
}

// create makes a key below parent.
func (c *conn) create(parent uint32, template []byte) (public, private []byte, err error) {
	r, err := c.ask(newCommand(ccCreate, parent).sensitive().sized(template).sized(nil).u32(0))
	if err != nil {
		return nil, nil, err
	}
	r.u32()
	private = r.sized()
	public = r.sized()
	return public, private, r.err
}

func (c *conn) load(parent uint32, public, private []byte) (handle uint32, err error) {
	r, err := c.ask(newCommand(ccLoad, parent).sized(private).sized(public))
	if err != nil {
		return 0, err
	}
	return r.u32(), r.err
}

func (c *conn) flush(handle uint32) {
	// The resource manager flushes at close, too.
	_, _ = c.ask(newCommand(ccFlushContext).u32(handle))
}

func (c *conn) readPublic(handle uint32) ([]byte, error) {
	r, err := c.ask(newCommand(ccReadPublic).u32(handle))
	if err != nil {
		return nil, err
	}
	return r.sized(), r.err
}

// sign returns the two numbers of an ECDSA signature.
func (c *conn) sign(handle uint32, digest []byte, hash uint16) (r, s []byte, err error) {
	in, err := c.ask(newCommand(ccSign, handle).sized(digest).u16(algECDSA).u16(hash).
		u16(tagHashCheck).u32(hierarchyNull).sized(nil))
	if err != nil {
		return nil, nil, err
	}
	in.u32()
	if alg := in.u16(); alg != algECDSA && in.err == nil {
		return nil, nil, errGarbled
	}
	in.u16()
	r, s = in.sized(), in.sized()
	return r, s, in.err
}

var (
	errSilent  = errors.New("the TPM has not answered for 20 s")
	errGarbled = errors.New("the TPM's answer cannot be read")
)
