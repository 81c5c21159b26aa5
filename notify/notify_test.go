package notify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen is a service manager's end.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

func said(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestSocket(t *testing.T) {
	for kind, name := range map[string]string{
		"path": filepath.Join(t.TempDir(), "notify"), "abstract": fmt.Sprintf("@fieldbridge-notify-%d", os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			c := listen(t, name)
			s, err := Open()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for want, do := range map[string]func(){
				`READY=1`: s.Ready, `WATCHDOG=1`: s.Alive, `STOPPING=1`: s.Stopping,
				`STATUS=2 of 3 devices answer, all is well`:
				// one line, whatever the text is
				func() { s.Status("2 of 3 devices answer,\nall is  well\n") },
				`EXTEND_TIMEOUT_USEC=90000000`:      func() { s.Extend(90 * time.Second) },
				`RELOADING=1\nMONOTONIC_USEC=(\d+)`: s.Reloading,
			} {
				do()
				if got := said(t, c); !regexp.MustCompile("^" + want + "$").MatchString(got) {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

// TestReloadingClock: systemd compares the time with its own monotonic clock.
func TestReloadingClock(t *testing.T) {
	c := listen(t, filepath.Join(t.TempDir(), "notify"))
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	us := func() (n int64) {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		return now.Nano() / 1000
	}
	before := us()
	s.Reloading()
	var told int64
	text := strings.ReplaceAll(said(t, c), "\n", " ")
	if _, err := fmt.Sscanf(text, "RELOADING=1 MONOTONIC_USEC=%d", &told); err != nil {
		t.Fatal(err)
	}
	if told < before || told > us() {
		t.Errorf("it told %d, not between %d and now", told, before)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s, err := Open()
	if s != nil || err != nil {
		t.Fatalf("%v, %v", s, err)
	}
	s.Ready() // does nothing
	s.Status("x")
	if s.Watchdog() != 0 || s.Close() != nil {
		t.Error("a socket that is not there wants something")
	}
	for _, name := range []string{"/nowhere/notify", "vsock:2:1", "relative"} {
		t.Setenv("NOTIFY_SOCKET", name)
		if s, err := Open(); s != nil || err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// TestManagerGone: a manager that went away, or does not read, holds nobody up.
func TestManagerGone(t *testing.T) {
	c := listen(t, filepath.Join(t.TempDir(), "notify"))
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = c.Close()
	s.Alive()
}

func TestWatchdog(t *testing.T) {
	self := fmt.Sprint(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"60000000", "", time.Minute}, {"60000000", self, time.Minute}, {"60000000", "1", 0}, {"", self, 0}, {"0", "", 0},
		{"-5", "", 0}, {"soon", "", 0}, {"9223372036854775807", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		if got := watchdog(); got != tt.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}
