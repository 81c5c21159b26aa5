//go:build linux

package crashtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// die kills the gateway, if it has not ended by itself as bad releases do.
func (u *updater) die() {
	u.t.Helper()
	p := u.process
	u.process = nil
	itself := false
	select {
	case <-p.ended:
		itself = true
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
	u.oven.died()
	if !itself {
		u.listen(p)
	}
	u.total.deaths++
}

// TestKillsWhileUpdating kills gateways at random instants of jobs that update the
// program, every third of which does not work. Each job ends in a state that is true:
// SUCCEEDED means that the new one runs, after a restart, too, and FAILED that the one
// before does. One that works succeeds over two kills, as a trial may be started three
// times. What sensors were acknowledged arrives, and the ledger is exact.
func TestKillsWhileUpdating(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	newRig(t, filepath.Join(t.TempDir(), "queue"), 1).updates().dieWhileUpdating(1, func() {})
}

// TestCutsWhileUpdating cuts the power instead: what the disk has not synced is gone, of
// the releases, too.
func TestCutsWhileUpdating(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	k := mountDisk(t)
	u := newRig(t, filepath.Join(k.dir, "queue"), 1).updates()
	u.keepsIn(k)
	u.dieWhileUpdating(1, func() {
		k.ask("cut %d", u.rnd.Uint64()>>1)
		u.forget()
	})
}

// keepsIn has the service manager's folder for state on a disk, made long ago.
func (u *updater) keepsIn(k *disk) {
	u.t.Helper()
	u.state = filepath.Join(k.dir, "state")
	root, err := os.Open(k.dir)
	if err != nil {
		u.t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(u.state, 0o700), root.Sync(), root.Close()); err != nil {
		u.t.Fatal(err)
	}
}

// drainEvery is after how many jobs all that waits is sent. Files give way to readings
// that wait, and a disk that a script serves makes more and more of them wait.
const drainEvery = 5

func (u *updater) drain() {
	u.t.Helper()
	for _, s := range u.sensors {
		s.pause(true)
		defer s.pause(false)
	}
	u.eventually("the queue is empty", 2*time.Minute, func() bool {
		m := u.metrics()
		return m != nil && m["fieldbridge_queue_backlog_readings"] == 0 && m["fieldbridge_queue_waiting_readings"] < 40
	})
}

// dieWhileUpdating kills the gateway so often, or as often as is asked for, at random
// instants of jobs; lose is called each time.
func (u *updater) dieWhileUpdating(few int, lose func()) {
	t := u.t
	t.Helper()
	again := func() {
		u.die()
		lose()
		u.start()
	}
	u.start()
	good := "1.100.0"
	u.runs(good)
	count := map[awsjobs.Status]int{}
	for n, want := 1, soak(few); u.total.deaths < want && !t.Failed(); n++ {
		works := u.rnd.IntN(3) > 0
		next := fmt.Sprintf("1.%d.0", 100+n) // as long as that of the packaged one
		p, status := u.real(next), awsjobs.Succeeded
		if !works {
			p, status = pack(t, u.root, u.crashes, next+"-test"), awsjobs.Failed
		}
		job := u.order(p, usual)
		for range 1 + u.rnd.IntN(2) {
			time.Sleep(time.Duration(u.rnd.IntN(9000)) * time.Millisecond)
			again()
		}
		d := u.became(job, status, "")
		count[status]++
		if works {
			good = next
		}
		if (d["rolled_back"] == "true") == works || d["to"] != next+"-test" {
			t.Errorf("%s of one that works: %t: %v", job, works, d)
		}
		u.runs(good)
		if u.rnd.IntN(5) == 0 {
			again()
			u.runs(good)
		}
		if n%drainEvery == 0 {
			u.drain()
		}
	}
	u.settle()
	t.Logf("%d deaths, jobs: %v", u.total.deaths, count)
}
