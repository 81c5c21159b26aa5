package broker

import (
	"os"
	"syscall"
	"testing"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// A disk that blocks stops one handshake; the others go on with the certificate
// that was read before.
func TestCertificateOnBlockedDisk(t *testing.T) {
	cert, key := rig.NewAuthority(t).Issue("broker.example", time.Hour)
	c := &certificate{files: setting.TLSFiles{Certificate: cert, PrivateKey: key}}
	before, err := c.get()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(string(cert)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(string(cert), 0o600); err != nil { // blocks who opens it to read
		t.Fatal(err)
	}
	blocked := make(chan error)
	go func() {
		now, err := c.get()
		if now != before {
			t.Errorf("a file that is not a certificate: got %p, want what was read before, %p", now, before)
		}
		blocked <- err
	}()
	rig.Until(t, "a handshake is at the disk", c.reading.Load)
	for range 10 {
		begin := time.Now()
		if now, err := c.get(); err != nil || now != before {
			t.Errorf("while another reads: got %p, %v, want %p", now, err, before)
		}
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("a handshake waited %v for the disk", waited)
		}
	}
	writer, err := os.OpenFile(string(cert), os.O_WRONLY, 0)
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
