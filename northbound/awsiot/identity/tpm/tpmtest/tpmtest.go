// Package tpmtest has TPMs in software for tests: Debian's swtpm.
package tpmtest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"fieldbridge/needtest"

	"golang.org/x/sys/unix"
)

// TPM is one TPM behind a socket. Whoever connects has it alone until he closes the
// connection, as behind the kernel's resource manager; what he loaded is gone then.
type TPM struct {
	Path string // of the socket, shorter than 100 bytes

	swtpm string
	ln    net.Listener

	mu    sync.Mutex
	state string // guarded by mu; folder of what it remembers
	refer func(command []byte) (response []byte)
}

// Start starts a new TPM, which ends with the test.
func Start(t testing.TB) *TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	c := &TPM{Path: filepath.Join(dir, "s"), swtpm: needtest.Program(t, "swtpm")}
	c.Clear(t)
	if c.ln, err = net.Listen("unix", c.Path); err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := c.ln.Accept()
			if err != nil {
				return
			}
			c.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = c.ln.Close()
		served.Wait()
		_ = os.RemoveAll(dir)
	})
	return c
}

// Clear makes the TPM forget all keys, as the BIOS does when it is told so, or as if
// the gateway had got another one.
func (c *TPM) Clear(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = t.TempDir()
}

// Answer has refer answer commands in the TPM's stead where it returns something; nil
// leaves all to the TPM. It answers from the next connection on.
func (c *TPM) Answer(refer func(command []byte) (response []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refer = refer
}

// serve passes commands of one connection to a swtpm of its own: it ends with it.
func (c *TPM) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	c.mu.Lock()
	state, refer := c.state, c.refer
	c.mu.Unlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "swtpm"), os.NewFile(uintptr(pair[1]), "swtpm")
	defer func() { _ = ours.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, c.swtpm, "socket", "--tpm2", "--tpmstate", "dir="+state, "--fd", "3", "--flags",
		"not-need-init,startup-clear")
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return
	}
	command, response := make([]byte, 4096), make([]byte, 4096)
	for {
		n, err := conn.Read(command)
		if err != nil {
			break
		}
		if refer != nil {
			if b := refer(command[:n]); b != nil {
				if _, err := conn.Write(b); err != nil {
					break
				}
				continue
			}
		}
		if _, err := ours.Write(command[:n]); err != nil {
			break
		}
		if n, err = ours.Read(response); err != nil {
			break
		}
		if _, err := conn.Write(response[:n]); err != nil {
			break
		}
	}
	// Without an orderly TPM2_Shutdown(CLEAR) it takes what was tried for guesses.
	if _, err := ours.Write([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0}); err == nil {
		_, _ = ours.Read(response)
	}
	_ = ours.Close() // swtpm writes its state down before it ends
	_ = cmd.Wait()
}

// Refuse returns an answer with a code.
func Refuse(code uint16) []byte {
	return []byte{0x80, 1, 0, 0, 0, 10, 0, 0, byte(code >> 8), byte(code)}
}
