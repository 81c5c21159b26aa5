package rig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/needtest"
)

// Broker is a real mosquitto.
type Broker struct {
	t      *testing.T
	Addr   string // where it listens
	config string
	cmd    *exec.Cmd
}

// StartMosquitto starts a mosquitto with settings beside its listener, on a
// port of its own.
func StartMosquitto(t *testing.T, settings ...string) *Broker {
	t.Helper()
	port, dir := needtest.Port(t), t.TempDir()
	b := &Broker{t: t, Addr: fmt.Sprint("127.0.0.1:", port), config: filepath.Join(dir, "mosquitto.conf")}
	lines := append([]string{fmt.Sprintf("listener %d 127.0.0.1", port), "persistence true",
		"persistence_location " + dir + "/", "max_queued_messages 10000"}, settings...)
	if len(settings) == 0 {
		lines = append(lines, "allow_anonymous true")
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "user root")
	}
	if err := os.WriteFile(b.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Start()
	t.Cleanup(func() { b.Stop() })
	return b
}

// Start starts it again after Stop.
func (b *Broker) Start() {
	b.t.Helper()
	b.cmd = exec.Command(Need(b.t, "mosquitto"), "-c", b.config)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	Until(b.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", b.Addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// Stop ends it; it saves its sessions.
func (b *Broker) Stop() {
	if b.cmd != nil {
		_ = b.cmd.Process.Signal(os.Interrupt) // it saves its sessions
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}

// Forget has it lose its sessions; it must be stopped.
func (b *Broker) Forget() {
	b.t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(b.config), "mosquitto.db")); err != nil {
		b.t.Fatal(err)
	}
}

// Memory is a [bridge.State].
type Memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

// Get implements [bridge.State].
func (m *Memory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m[key], nil
}

// Put implements [bridge.State].
func (m *Memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = make(map[string][]byte)
	}
	m.m[key] = value
	return nil
}
