//go:build linux

package crashtest

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
)

// hanging returns the program whose parts can be made to hang, and whose limits are a
// tenth: see package pulse.
func hanging(t *testing.T) string {
	t.Helper()
	path, err := buildHanging()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildHanging = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "hanging")
	return path, needtest.Build(path, gatewayProgram, "-tags", "hang")
})

// watchdog is a service manager that hears what a gateway says.
type watchdog struct {
	socket string
	mu     sync.Mutex
	said   []string  // guarded by mu
	alive  time.Time // guarded by mu; the last sign of life
}

func newWatchdog(t *testing.T) *watchdog {
	t.Helper()
	w := &watchdog{socket: filepath.Join(t.TempDir(), "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: w.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			w.mu.Lock()
			if text := string(buf[:n]); text == "WATCHDOG=1" {
				w.alive = time.Now()
			} else {
				w.said = append(w.said, text)
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-ended })
	return w
}

func (w *watchdog) heard(prefix string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.said, func(text string) bool { return strings.HasPrefix(text, prefix) })
}

func (w *watchdog) last() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive
}

// under starts the gateway under the watchdog, which wants to hear of it each 8 s.
func (r *rig) under(w *watchdog, more ...string) {
	r.t.Helper()
	r.start(append([]string{"env", "NOTIFY_SOCKET=" + w.socket, "WATCHDOG_USEC=8000000"}, more...)...)
	r.eventually("it is ready", time.Minute, func() bool { return w.heard("READY=1") })
	r.eventually("the watchdog is fed", time.Minute, func() bool { return !w.last().IsZero() })
}

// TestHangs lets each part of a gateway hang in turn: it is told which, and the watchdog
// is fed no more. Nothing else stops the feeding: before that the cloud is away.
func TestHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel() // it mostly waits
	for i, part := range []string{"bus plc", "committer", "collector", "forwarder, fresh lane"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel() // it mostly waits
			r, w := newRig(t, filepath.Join(t.TempDir(), "queue"), 0), newWatchdog(t)
			r.program = hanging(t)
			file := filepath.Join(t.TempDir(), "hang")
			r.online(false)
			r.under(w, "FIELDBRIDGE_HANG="+file)
			// Of its life. One of them will do: so far they do the same.
			for begun := time.Now(); i == 0 && time.Since(begun) < 15*time.Second; time.Sleep(time.Second) {
				if gap := time.Since(w.last()); gap > 8*time.Second {
					t.Fatalf("the cloud is away, and the watchdog hears nothing for %v", gap)
				}
			}
			r.online(true)
			now := time.Now()
			r.eventually("a poll of now arrives", time.Minute,
				func() bool { return r.polled(now, now.Add(time.Hour)) > 0 })
			if err := os.WriteFile(file, []byte(part), 0o600); err != nil {
				t.Fatal(err)
			}
			r.eventually("it says who hangs", 2*time.Minute, func() bool {
				return regexp.MustCompile(`does not move any more" part="?` + part).MatchString(r.process.stderr.String())
			})
			r.eventually("the watchdog is fed no more", time.Minute,
				func() bool { return time.Since(w.last()) > 8*time.Second })
		})
	}
}

// TestStopped stops the process for 20 s with SIGSTOP: that is told once, polls that were
// due meanwhile are not made up for, what was read has its true time, and the watchdog
// is fed again at once.
func TestStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel() // it mostly waits
	const long = 20 * time.Second
	r, w := newRig(t, filepath.Join(t.TempDir(), "queue"), 0), newWatchdog(t)
	r.under(w)
	r.eventually("devices are polled", time.Minute, func() bool { return r.oven.answered() > 20 })
	pid := -r.process.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	time.Sleep(long) // which is what is tried
	before, again := r.oven.answered(), time.Now()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is told", time.Minute, func() bool {
		return strings.Contains(r.process.stderr.String(), "the gateway did not run for")
	})
	r.eventually("the watchdog is fed", time.Minute, func() bool { return w.last().After(again) })
	now := time.Now()
	r.eventually("a poll of now arrives", time.Minute, func() bool { return r.polled(now, now.Add(time.Hour)) > 0 })
	polls, since := r.oven.answered()-before, time.Since(again)
	if most := int(since/(100*time.Millisecond)) + 5; polls > most {
		t.Errorf("%d polls in %v, every 100 ms: at most %d are right", polls, since, most)
	}
	if n := r.polled(stopped.Add(time.Second), again.Add(-time.Second)); n > 0 {
		t.Errorf("%d polls have a time at which the gateway did not run", n)
	}
	said := r.process.stderr.String()
	if n := strings.Count(said, "the gateway did not run for"); n != 1 {
		t.Errorf("told %d times:\n%s", n, tail(said))
	}
	if strings.Contains(said, "does not move any more") {
		t.Errorf("a part is told to hang:\n%s", tail(said))
	}
}
