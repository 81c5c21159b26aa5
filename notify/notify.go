// Package notify talks to systemd as sd_notify(3) says: when the service is ready, how
// it is doing, that it still runs. Without systemd all of it does nothing.
package notify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where systemd listens. A nil Socket is that nobody does. It is safe for
// concurrent use.
type Socket struct {
	conn  *net.UnixConn
	every time.Duration
}

// Open returns the socket that the environment names, nil without one. A leading @ is
// the abstract namespace.
func Open() (*Socket, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("$NOTIFY_SOCKET is %q: only unix sockets are supported", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("$NOTIFY_SOCKET cannot be reached: %w", err)
	}
	return &Socket{conn, watchdog()}, nil
}

// watchdog returns within what time the service manager wants to hear of this process,
// 0 for never.
func watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 || us > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// Watchdog returns within what time [Socket.Alive] is wanted again, 0 for never.
func (s *Socket) Watchdog() time.Duration {
	if s == nil {
		return 0
	}
	return s.every
}

// Ready says that the service has started, or has reloaded.
func (s *Socket) Ready() { s.send("READY=1") }

// Status says in a sentence how the service is doing.
func (s *Socket) Status(text string) { s.send("STATUS=" + strings.Join(strings.Fields(text), " ")) }

// Alive feeds the watchdog.
func (s *Socket) Alive() { s.send("WATCHDOG=1") }

// Stopping says that the service stops.
func (s *Socket) Stopping() { s.send("STOPPING=1") }

// Reloading says that the configuration is read again; [Socket.Ready] ends that.
func (s *Socket) Reloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
		s.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10))
	}
}

// Extend asks for so much more time, from now on, for what is under way: a start or a
// stop.
func (s *Socket) Extend(d time.Duration) {
	s.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// send sends, and waits for nobody: a datagram that finds no room is lost, and the next
// one says it again.
func (s *Socket) send(text string) {
	if s == nil {
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.conn.Write([]byte(text))
}

// Close ends it.
func (s *Socket) Close() error {
	if s == nil {
		return nil
	}
	return s.conn.Close()
}
