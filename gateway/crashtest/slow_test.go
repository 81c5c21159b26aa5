//go:build linux

package crashtest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// health is what the console's health page says.
func (r *rig) health() string {
	res, err := http.Get("http://" + r.console + "/healthz")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// polled returns how many polls between two times have arrived.
func (r *rig) polled(from, to time.Time) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := range r.polls {
		if at >= from.UnixMilli() && at < to.UnixMilli() {
			n++
		}
	}
	return n
}

// memory is the most that the gateway had resident, in bytes.
func (r *rig) memory() (peak int) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(r.process.cmd.Process.Pid) + "/status")
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			peak, _ = strconv.Atoi(f[1])
		}
	}
	return peak << 10
}

// TestSlowDisk: every sync takes long, and the cloud is away. The start goes
// on, with a SIGHUP in it, polls keep their time, sensors are acknowledged within a few
// commits. Then the disk dies for a while: it is told, nobody is acknowledged, and when
// it is back everything that was acknowledged arrives.
func TestSlowDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits
	d := mountDisk(t)
	r := newRig(t, filepath.Join(d.dir, "queue"), 4)
	sync, long := 200*time.Millisecond, 3*time.Second
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		sync, long = 500*time.Millisecond, 20*time.Second
	}
	d.ask("slow %f", sync.Seconds())
	r.online(false)
	r.start()
	r.eventually("the queue is opened", 20*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(r.queue, "lock"))
		return err == nil
	})
	_ = r.process.cmd.Process.Signal(syscall.SIGHUP)
	r.eventually("the gateway listens", 20*time.Second, r.listening)
	r.eventually("sensors are acknowledged", 20*time.Second, func() bool { return r.acknowledged() > 160 })
	for _, s := range r.sensors {
		s.forget()
	}
	began := time.Now()
	before := r.acknowledged()
	time.Sleep(long)
	ended := time.Now()
	slowest := time.Duration(0)
	for _, s := range r.sensors {
		slowest = max(slowest, s.forget())
	}
	acknowledged := r.acknowledged() - before
	// The commit under way, the own one, and now and then the index or room in the file;
	// and a second for a busy machine.
	if most := 6*sync + time.Second; slowest > most || acknowledged < 80 {
		t.Errorf("%d messages were acknowledged, the slowest after %v; at most %v is right", acknowledged, slowest, most)
	}
	d.ask("fail on")
	r.eventually("it is told that the disk fails", 10*time.Second,
		func() bool { return strings.Contains(r.health(), "the queue cannot be written") })
	dead := r.acknowledged()
	time.Sleep(time.Second)
	if n := r.acknowledged(); n > dead {
		t.Errorf("%d messages were acknowledged that are on no disk", n-dead)
	}
	d.ask("fail off")
	d.ask("slow 0")
	r.eventually("it is told that the disk is well", 40*time.Second,
		func() bool { return !strings.Contains(r.health(), "the queue cannot be written") })
	peak := r.memory()
	due, polls := int(ended.Sub(began)/(100*time.Millisecond)), 0
	r.online(true)
	r.eventually("the polls arrive", 30*time.Second, func() bool {
		polls = r.polled(began, ended)
		return polls >= due*9/10
	})
	r.settle()
	t.Logf("with syncs of %v: %d messages acknowledged in %v, the slowest after %v; %d of %d polls; at most %d MiB "+
		"resident",
		sync, acknowledged, ended.Sub(began).Round(time.Second), slowest.Round(time.Millisecond), polls, due, peak>>20)
}
