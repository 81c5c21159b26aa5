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
	} else if r.quiet {
		end = end.Add(time.Second)
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
		r.refusing = true
	}
	for range reloads {
		time.Sleep(time.Until(end) / time.Duration(reloads+1))
		r.reload()
		r.total.reloads++
		r.reloaded++
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

// damage does something to the journal now and then.
func (r *rig) damage() {
	r.t.Helper()
	if r.rnd.IntN(20) == 0 {
		r.strange(faults[r.rnd.IntN(len(faults))].do)
	}
}

// live has a gateway die some times, by die, and then compares everything.
func (r *rig) live(most int, full func(on bool), die func()) {
	r.t.Helper()
	for _, s := range r.sensors {
		s.pause(r.quiet)
	}
	r.configure()
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
	return fmt.Sprintf("%d deaths (%d while it started, %d at once after another), %d kills beside, %d damaged journals, "+
		"%d lives of %d without room for one, %d of polls alone (%d ends of runs looked at), %d reloads, %d times a full "+
		"disk, "+
		"slowest start %v; %d polls answered and %d messages acknowledged to sensors, all arrived; %d runs, %d batches, "+
		"%d of them "+
		"again, %d not "+
		"yet on disk when the run ended; the ledger says kept",
		a.deaths, a.starting, a.twice, a.kills, a.damaged, a.noRoom, a.lives, a.quiet, a.lastPolls, a.reloads, a.full,
		a.slowestStart.Round(time.Millisecond), a.polls, a.acknowledged, a.runs, a.batches, a.duplicates, a.uncommitted)
}

// TestKillsOfGateway kills whole gateways at random instants, among sensors, polls,
// reloads, a cloud that is mostly away and a file system that is now and then full.
// What was acknowledged to a sensor arrives, and the ledger's tool says kept, and with
// a journal no reading is missing that entered the queue. Some lives are without
// sensors, whose commits would save polls, and some without room for a journal; now and
// then one is damaged.
func TestKillsOfGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	dir, full := mountSmall(t, 24<<20)
	runtime, noRoom := mountSmall(t, 12<<20)
	r := newRig(t, filepath.Join(dir, "queue"), 4)
	r.runtime = runtime
	die := func() {
		r.kill()
		r.damage()
	}
	for want := soak(4); r.total.deaths < want && !t.Failed(); {
		r.exact = r.rnd.IntN(8) > 0
		if r.quiet = r.rnd.IntN(3) == 0; r.quiet {
			r.total.quiet++
		}
		if !r.exact {
			noRoom(true) // the gateway runs without a journal
			r.total.noRoom++
			r.quiet = false
		}
		r.live(want-r.total.deaths, full, die)
		noRoom(false)
		r.forget() // and what was set aside, which takes the room
		if err := os.RemoveAll(r.queue); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(&r.total)
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
	r.runtime, _ = mountSmall(t, 12<<20)
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
		if r.rnd.IntN(5) == 0 {
			r.total.deaths-- // no cut, and what is in memory is there at the next start
			r.total.kills++
			return
		}
		d.ask("size 0")
		seed = r.rnd.Uint64() >> 1
		lost := d.ask("cut %d", seed)
		if !strings.Contains(lost, "'names': 0,") {
			r.total.namesLost++
		}
		if !strings.Contains(lost, "'files': 0}") {
			r.total.filesDamaged++
		}
		r.forget()
	}
	defer func() {
		if t.Failed() && seed != 0 {
			d.keep(seed)
		}
	}()
	took := func() int { return r.total.namesLost + r.total.filesDamaged }
	// Some take nothing by chance.
	for want := soak(4); (r.total.deaths < want || took() == 0 && r.total.deaths < 50) && !t.Failed(); {
		r.live(max(1, want-r.total.deaths), full, cut)
		d.ask("wipe")
	}
	t.Log(&r.total)
	t.Logf("%d cuts took names, %d what files held", r.total.namesLost, r.total.filesDamaged)
	if took() == 0 {
		t.Error("no cut took anything")
	}
}

// forget empties what does not outlive a power cut.
func (r *rig) forget() {
	r.t.Helper()
	journals, _ := filepath.Glob(filepath.Join(r.runtime, "*"))
	for _, j := range journals {
		if err := os.RemoveAll(j); err != nil {
			r.t.Fatal(err)
		}
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

// TestCutWhileRestoring: a kill leaves polls in the journal alone, and the power is cut
// while the next start restores them. They are lost, and that is named.
func TestCutWhileRestoring(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	d := mountDisk(t)
	r := newRig(t, filepath.Join(d.dir, "queue"), 2)
	r.runtime, _ = mountSmall(t, 12<<20)
	r.online(false)
	r.start()
	r.eventually("sensors are acknowledged", 20*time.Second, func() bool { return r.acknowledged() > 40 })
	for _, s := range r.sensors {
		s.pause(true)
	}
	index := func() string {
		text, err := os.ReadFile(filepath.Join(r.queue, "meta"))
		if err != nil {
			t.Log(err)
		}
		return string(text)
	}
	r.kill()
	r.quiet = true
	r.configure()
	r.start()
	r.awaitStart()
	time.Sleep(1200 * time.Millisecond) // polls
	r.kill()
	before := index()
	const slow = 400 * time.Millisecond
	d.ask("slow %f", slow.Seconds())
	r.start()
	r.eventually("the run is in the index", 20*time.Second, func() bool { return index() != before })
	time.Sleep(slow * 3 / 2) // the name of the index is safe, what is restored is not
	r.kill()
	d.ask("cut worst")
	r.forget()
	d.ask("slow 0")
	r.quiet, r.killed = false, nil
	r.configure()
	r.start()
	r.settle()
	t.Log(&r.total)
}
