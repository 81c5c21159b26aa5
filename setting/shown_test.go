package setting

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A disk that blocks stops one handshake; the others go on with the certificate
// that was read before.
func TestCertificateOnBlockedDisk(t *testing.T) {
	certificate, private := newIdentity(t)
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, text := range map[string][]byte{cert: certificate, key: private} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := TLSFiles{Certificate: Path(cert), PrivateKey: Path(key)}.Shown()
	before, err := c.Get()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(cert, 0o600); err != nil { // blocks who opens it to read
		t.Fatal(err)
	}
	blocked := make(chan error)
	go func() {
		now, err := c.Get()
		if now != before {
			t.Errorf("a file that is not a certificate: got %p, want what was read before, %p", now, before)
		}
		blocked <- err
	}()
	for deadline := time.Now().Add(30 * time.Second); !c.reading.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no handshake is at the disk")
		}
	}
	for range 10 { // one that waited for the disk would wait for the writer, which comes later
		if now, err := c.Get(); err != nil || now != before {
			t.Errorf("while another reads: got %p, %v, want %p", now, err, before)
		}
	}
	writer, err := os.OpenFile(cert, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = writer.Close() // the file is empty
	if err := <-blocked; err != nil {
		t.Error(err)
	}
	if c.reading.Load() {
		t.Error("nobody would look at the files any more")
	}
}
