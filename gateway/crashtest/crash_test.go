//go:build linux

package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/store/journal"
)

// longestLife is how many deaths there are at most until everything is compared and
// the next life begins with a new folder.
const longestLife = 30

// weather is what happens while the gateway runs, up to its death.
func (r *rig) weather(full func(on bool)) {
	r.t.Helper()
	starting := r.rnd.IntN(5) == 0
	end := time.Now().Add(time.Duration(150+r.rnd.IntN(700)) * time.Millisecond)
	if starting {
		r.total.starting++
		end = time.Now().Add(time.Duration(r.rnd.IntN(90)) * time.Millisecond)
	}
	if r.rnd.IntN(3) > 0 {
		r.online(false)
	} else {
		r.online(true)
		lose := r.rnd.IntN(4) == 0
		r.cloud.Duplicate(r.rnd.IntN(4) == 0)
		r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
			return awsiottest.Verdict{Lose: lose && m.At.UnixNano()%3 == 0}
		})
	}
	isFull := !starting && r.rnd.IntN(8) == 0
	reloads := 0
	if !starting && r.rnd.IntN(4) == 0 {
		reloads = 1 + r.rnd.IntN(3)
	}
	if isFull || reloads > 0 {
		r.awaitStart() // before main a SIGHUP ends the process
	}
	if isFull {
		// A run that begins on a full disk and dies on it leaves no trace of its begin.
		full(true)
		defer full(false)
		r.total.full++
	}
	for range reloads {
		time.Sleep(time.Until(end) / time.Duration(reloads+1))
		r.reload()
		r.total.reloads++
	}
	time.Sleep(time.Until(end)) // the instant of death
}

// again starts the gateway after a death, and now and then kills it at once.
func (r *rig) again(die func()) {
	r.t.Helper()
	r.start()
	if r.rnd.IntN(6) == 0 {
		time.Sleep(time.Duration(r.rnd.IntN(60)) * time.Millisecond)
		die()
		r.total.deaths++
		r.total.twice++
		r.start()
	}
}

// awaitStart notes how long a start takes.
func (r *rig) awaitStart() {
	r.t.Helper()
	began := time.Now()
	r.eventually("the gateway listens", 20*time.Second, r.listening)
	r.total.slowestStart = max(r.total.slowestStart, time.Since(began))
}

// live has a gateway die some times, by die, and then compares everything.
func (r *rig) live(most int, full func(on bool), die func()) {
	r.t.Helper()
	r.start()
	for range min(most, 1+r.rnd.IntN(longestLife)) {
		r.weather(full)
		die()
		if r.t.Failed() {
			return
		}
		r.total.deaths++
		r.again(die)
	}
	r.awaitStart()
	r.settle()
}

func (a *account) String() string {
	return fmt.Sprintf("%d deaths (%d while it started, %d at once after another), %d reloads, %d times a full disk, "+
		"slowest start %v; %d messages acknowledged to sensors, all arrived; %d runs, %d batches, %d of them again, %d not "+
		"yet on disk when the run ended; the ledger says kept, %d times",
		a.deaths, a.starting, a.twice, a.reloads, a.full, a.slowestStart.Round(time.Millisecond), a.acknowledged, a.runs,
		a.batches, a.duplicates, a.uncommitted, a.lives)
}

// TestKillsOfGateway kills whole gateways at random instants, among sensors, polls,
// reloads, a cloud that is mostly away and a file system that is now and then full.
// What was acknowledged to a sensor arrives, and the ledger's tool says kept, and with
// a journal no reading is missing that entered the queue.
func TestKillsOfGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	dir, full := mountSmall(t, 24<<20)
	r := newRig(t, filepath.Join(dir, "queue"), 4)
	for want := soak(8); r.total.deaths < want && !t.Failed(); {
		r.live(want-r.total.deaths, full, r.kill)
		if err := os.RemoveAll(r.queue); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(&r.total)
	if journal.Check(r.runtime()) == nil && r.total.uncommitted > 0 {
		t.Errorf("%d batches were lost with the memory, although there is a journal", r.total.uncommitted)
	}
}

// TestPowerCutsOfGateway cuts the power of whole gateways in the same weather: the
// process is gone, what the disk has not synced may be, and the next start is of what
// is left, which the next cut may hit while it is repaired. Each life begins with a new
// folder in a new folder.
func TestPowerCutsOfGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	d := mountDisk(t)
	r := newRig(t, filepath.Join(d.dir, "var", "queue"), 4)
	full := func(on bool) {
		size := "0"
		if on {
			size = d.ask("used")
		}
		d.ask("size %s", size)
	}
	seed := uint64(0)
	cut := func() {
		r.kill()
		d.ask("size 0")
		seed = r.rnd.Uint64() >> 1
		lost := d.ask("cut %d", seed)
		if !strings.Contains(lost, "'names': 0,") {
			r.total.namesLost++
		}
		if !strings.Contains(lost, "'files': 0}") {
			r.total.filesDamaged++
		}
		if err := os.RemoveAll(r.runtime()); err != nil { // a tmpfs does not outlive it
			t.Fatal(err)
		}
	}
	defer func() {
		if t.Failed() && seed != 0 {
			d.keep(seed)
		}
	}()
	for want := soak(8); r.total.deaths < want && !t.Failed(); {
		r.live(want-r.total.deaths, full, cut)
		d.ask("wipe")
	}
	t.Log(&r.total)
	t.Logf("%d cuts took names, %d what files held", r.total.namesLost, r.total.filesDamaged)
	if r.total.namesLost+r.total.filesDamaged == 0 {
		t.Error("no cut took anything")
	}
}

// TestWorstCutOfGateway: after the first messages that a new gateway acknowledges,
// a power cut takes everything that is not synced, its new folder and the one above
// it if they are not.
func TestWorstCutOfGateway(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	d := mountDisk(t)
	r := newRig(t, filepath.Join(d.dir, "var", "lib", "queue"), 2)
	for range 3 {
		r.online(false)
		r.start()
		before := r.acknowledged()
		r.eventually("sensors are acknowledged", 20*time.Second, func() bool { return r.acknowledged() > before+40 })
		r.kill()
		d.ask("cut worst")
	}
	r.start()
	r.settle()
	t.Log(&r.total)
}
