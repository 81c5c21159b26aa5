package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair returns two ends of a TCP connection, the first wrapped.
func pair(t *testing.T) (net.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := Dial(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if _, ok := near.(*conn); !ok && runtime.GOOS == "linux" {
		t.Fatal("it is not wrapped")
	}
	return near, far.(*net.TCPConn)
}

func TestReadAndWrite(t *testing.T) {
	near, far := pair(t)
	// More than the kernel's buffers take, so that writes wait for room.
	sent := strings.Repeat("0123456789abcdef", 1<<20)
	done := make(chan error, 1)
	go func() {
		n, err := io.WriteString(near, sent)
		if n != len(sent) && err == nil {
			err = io.ErrShortWrite
		}
		done <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != sent {
		t.Fatalf("read other bytes than sent, or %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go io.WriteString(far, "answer")
	b := make([]byte, 100)
	if n, err := near.Read(b); err != nil || string(b[:n]) != "answer" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Fatalf("read of nothing: %d, %v", n, err)
	}
}

func TestEnds(t *testing.T) {
	b := make([]byte, 10)
	near, far := pair(t)
	near.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := near.Read(b)
	var op *net.OpError
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || op.Op != "read" || !op.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	near.SetReadDeadline(time.Time{})
	far.CloseWrite()
	if _, err := near.Read(b); err != io.EOF {
		t.Errorf("after the peer's end: %v", err)
	}
	near.Close()
	if _, err := near.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed connection: %v", err)
	}
	if _, err := near.Write(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed connection: %v", err)
	}
}

func TestReset(t *testing.T) {
	near, far := pair(t)
	far.SetLinger(0)
	far.Close()
	_, err := near.Read(make([]byte, 10))
	if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "connection reset by peer") {
		t.Errorf("after a reset: %v", err)
	}
	if _, err = near.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a reset: %v", err)
	}
}

// TestClose: a close ends a read that waits.
func TestClose(t *testing.T) {
	near, _ := pair(t)
	done := make(chan error, 1)
	go func() {
		_, err := near.Read(make([]byte, 10))
		done <- err
	}()
	time.AfterFunc(10*time.Millisecond, func() { near.Close() })
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed read ends with %v", err)
	}
}

// TestWrapOther: what is not a socket stays what it is.
func TestWrapOther(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if Wrap(a) != a {
		t.Error("a pipe is wrapped")
	}
}

// TestFile: a file that is waited for, with its errors.
func TestFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in, out := WrapFile(r), WrapFile(w)
	if _, err := out.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := in.Read(b); err != nil || string(b[:n]) != "abc" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	in.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := in.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	in.SetDeadline(time.Time{})
	out.Close()
	if _, err := in.Read(b); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := out.Write(b); err == nil {
		t.Error("a closed file was written")
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, kind := range []string{"net", "socket"} {
		b.Run(kind, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err == nil {
					io.Copy(c, c)
					c.Close()
				}
			}()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if kind == "socket" {
				c = Wrap(c)
			}
			buf := make([]byte, 256)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(buf[:12])
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A write that does not wait ends when there is no more room, and goes on when
// there is.
func TestTryWrite(t *testing.T) {
	near, far := pair(t)
	w, ok := near.(TryWriter)
	if !ok {
		if runtime.GOOS == "linux" {
			t.Fatalf("%T cannot", near)
		}
		t.Skip("not on this system")
	}
	sent, b := 0, make([]byte, 1<<20)
	for n := 1; n > 0; sent += n {
		var err error
		if n, err = w.TryWrite(b); err != nil {
			t.Fatal(err)
		}
	}
	if sent == 0 || sent%len(b) == 0 {
		t.Errorf("%d bytes fit into the kernel's buffers: nothing was cut", sent)
	}
	if _, err := io.ReadFull(far, make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	for n := 0; n == 0; runtime.Gosched() { // the kernel may take a moment to see the room
		var err error
		if n, err = w.TryWrite([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	near.Close()
	if _, err := w.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
