//go:build linux

package crashtest

import (
	"fmt"
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

// spell is what happened in a while.
type spell struct {
	acknowledged, polls, due int
	slowest                  time.Duration // acknowledgement of a sensor
}

// watch lets the gateway run for a while, beside another. Its polls keep their time, and
// right holds, in one of ten spells: on a machine that is busy with other tests not in each.
func (r *rig) watch(beside *rig, name string, long time.Duration, right func(spell) bool) {
	r.t.Helper()
	var s spell
	// Polls that wait for the disk are late each time, and those of a gateway whose disk is
	// well are not.
	enough := 0
	for range 10 {
		for _, sensor := range r.sensors {
			sensor.forget()
		}
		began, acknowledged, polls := time.Now(), r.acknowledged(), r.oven.answered()
		calm := beside.oven.answered()
		time.Sleep(long)
		s = spell{acknowledged: r.acknowledged() - acknowledged, polls: r.oven.answered() - polls,
			due: int(time.Since(began) / (100 * time.Millisecond))}
		for _, sensor := range r.sensors {
			s.slowest = max(s.slowest, sensor.forget())
		}
		enough = max(s.due/4, min(s.due*9/10, (beside.oven.answered()-calm)*3/4))
		if right(s) && s.polls >= enough || r.t.Failed() {
			break
		}
		r.t.Logf("%s: %d polls of %d, %d were enough: %+v", name, s.polls, s.due, enough, s)
	}
	if s.polls < enough || !right(s) {
		r.t.Errorf("%s, ten times in a row: %d polls of %d, at least %d are right; %+v", name, s.polls, s.due, enough, s)
	}
	told := "nothing"
	for line := range strings.Lines(r.health()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), `"text": `); ok && strings.Contains(text, "queue") {
			told = text
		}
	}
	r.t.Logf("| %s | %d in %v, the slowest after %v | %d of %d | %d MiB | %s |", name, s.acknowledged,
		long, s.slowest.Round(time.Millisecond), s.polls, s.due, r.memory()>>20, told)
}

// TestSlowDisk: every sync takes long, and the cloud is away. The start goes
// on, with a SIGHUP in it, polls keep their time, sensors are acknowledged within a few
// commits. Then the disk dies, first with errors, then its file system is read-only: it is
// told, nobody is acknowledged, polls go on, and over a kill. When the disk is back
// everything that was acknowledged or polled arrives.
func TestSlowDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits
	beside := newRig(t, filepath.Join(t.TempDir(), "queue"), 0)
	beside.start()
	d := mountDisk(t)
	r := newRig(t, filepath.Join(d.dir, "queue"), 4)
	r.runtime, _ = mountSmall(t, 12<<20)
	r.exact = true
	sync, long := 200*time.Millisecond, 2*time.Second
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
	r.reloaded++
	r.eventually("the gateway listens", 20*time.Second, r.listening)
	r.eventually("sensors are acknowledged", 20*time.Second, func() bool { return r.acknowledged() > 160 })
	// The commit under way, the own one, and now and then the index or room in the file;
	// and a second for a busy machine.
	r.watch(beside, fmt.Sprintf("each sync takes %v", sync), long, func(s spell) bool {
		return s.slowest <= 6*sync+time.Second && s.acknowledged >= 80
	})
	unwritable := func() bool { return strings.Contains(r.health(), "the queue cannot be written") }
	dying := func(name string) {
		r.eventually("it is told that the disk fails", 10*time.Second, unwritable)
		never := 0
		r.watch(beside, name, long, func(s spell) bool { never = max(never, s.acknowledged); return true })
		if never > 0 {
			t.Errorf("%s: %d messages were acknowledged that are on no disk", name, never)
		}
	}
	d.ask("fail on")
	dying("writes and syncs fail (EIO)")
	d.ask("fail readonly")
	dying("then read-only (EROFS)")
	r.kill()
	r.total.deaths++
	r.start()
	r.awaitStart()
	dying("killed, and started on it")
	d.ask("fail off")
	d.ask("slow 0")
	r.eventually("it is told that the disk is well", 40*time.Second, func() bool { return !unwritable() })
	r.online(true)
	r.settle()
	t.Log(&r.total)
}
