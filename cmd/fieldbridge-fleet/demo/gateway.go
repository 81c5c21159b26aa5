package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// watchdog is how long a gateway may say nothing before it is killed. The unit of
	// the packages gives 60 s; here each attempt of a release that hangs waits for it.
	watchdog = 20 * time.Second
	// restartAfter is how long after its end a gateway is started again.
	restartAfter = time.Second
	// stopWithin is how long a gateway may take to end.
	stopWithin = 30 * time.Second
)

// gateway is a machine: its folders, and what starts the program again and again, as
// systemd does.
type gateway struct {
	name    string
	dir     string // its socket for systemd's messages lies in it, too: keep it short
	program string // the packaged one
	file    string // the configuration as it was installed

	heard  atomic.Int64 // when the program last said that it is well, in Unix nanoseconds
	killed atomic.Int32 // by the watchdog
}

// run keeps the program running until ctx ends.
func (g *gateway) run(ctx context.Context) error {
	for _, dir := range []string{"state", "run"} {
		if err := os.MkdirAll(filepath.Join(g.dir, dir), 0o700); err != nil {
			return err
		}
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: g.in("notify"), Net: "unixgram"})
	if err != nil {
		return err
	}
	listening := make(chan struct{})
	go func() { defer close(listening); g.listen(l) }()
	defer func() { _ = l.Close(); <-listening }()
	log, err := os.OpenFile(g.in("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	for ctx.Err() == nil {
		if err := g.once(ctx, log); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
	return nil
}

func (g *gateway) in(name string) string { return filepath.Join(g.dir, name) }

// listen notes that the program is well, as sd_notify(3) says it, until l is closed.
func (g *gateway) listen(l *net.UnixConn) {
	for b := make([]byte, 4096); ; {
		n, _, err := l.ReadFromUnix(b)
		if err != nil {
			return
		}
		if text := string(b[:n]); strings.Contains(text, "WATCHDOG=1") || strings.Contains(text, "READY=1") {
			g.heard.Store(time.Now().UnixNano())
		}
	}
}

// once runs the program until it ends, is killed by the watchdog, or ctx ends.
func (g *gateway) once(ctx context.Context, log io.Writer) error {
	c := exec.Command(g.program, "run", g.file, "--gateway", g.name)
	c.Dir = g.in("state")
	c.Env = append(os.Environ(), "STATE_DIRECTORY="+c.Dir, "RUNTIME_DIRECTORY="+g.in("run"),
		"NOTIFY_SOCKET="+g.in("notify"), fmt.Sprint("WATCHDOG_USEC=", watchdog.Microseconds()))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	g.heard.Store(time.Now().UnixNano())
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	stopping, within := ctx.Done(), watchdog
	for {
		select {
		case <-ended:
			return nil
		case <-stopping:
			stopping, within = nil, stopWithin
			_ = c.Process.Signal(syscall.SIGTERM)
			g.heard.Store(time.Now().UnixNano())
		case <-look.C:
			if time.Since(time.Unix(0, g.heard.Load())) > within {
				g.killed.Add(1)
				_ = c.Process.Kill()
				<-ended
				return nil
			}
		}
	}
}

// last returns the end of what the program said.
func (g *gateway) last() string {
	text, err := os.ReadFile(g.in("log"))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(bytes.TrimSpace(text[max(0, len(text)-most):]))
}
