//go:build linux

package crashtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fieldbridge/ledger"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// readings is the topic of the gateway.
const readings = "plant/gateway-1"

// note takes a message that the cloud has got.
func (r *rig) note(topic string, payload []byte) {
	if strings.HasSuffix(topic, "/cbor") {
		return // it asks for a file
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.log, "%s %s\n", topic, payload)
	if topic != readings {
		return
	}
	var message struct {
		Run     string
		Batches []struct {
			Device string
			Seq    uint64
			At     int64
			Points map[string]json.Number
		}
	}
	if err := json.Unmarshal(payload, &message); err != nil {
		r.t.Errorf("a message that cannot be read: %v: %s", err, payload)
	}
	for _, b := range message.Batches {
		if v, ok := b.Points["temperature"]; ok {
			r.arrived[b.Device+" "+v.String()] = true
		}
		switch b.Device {
		case "press":
			r.polls[b.At] = true
			r.late = max(r.late, time.Since(time.UnixMilli(b.At)))
		case "oven":
			r.oven.arrive(r.t, b.Points["a"].String(), fmt.Sprint(message.Run, " ", b.Seq))
		}
	}
}

// account is what one or several lives of a gateway come to.
type account struct {
	deaths, lives                                           int // kills or cuts; accounts that were made
	kills, damaged, noRoom                                  int // beside cuts; of the journal; for the journal
	quiet, lastPolls                                        int // lives; ends of runs that were looked at
	polls                                                   int // of the device oven, where each must arrive
	acknowledged, batches, duplicates, uncommitted, runs    int
	slowestStart                                            time.Duration
	reloads, full, starting, twice, namesLost, filesDamaged int
}

// settle brings the cloud back, lets the gateway send everything, stops it and
// compares what was promised with what has arrived.
func (r *rig) settle() {
	r.t.Helper()
	began := time.Now()
	if r.cloud != nil {
		r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{} })
		r.online(true)
	}
	for _, s := range r.sensors {
		s.pause(true)
	}
	r.eventually("every sensor is acknowledged", 30*time.Second, func() bool {
		for _, s := range r.sensors {
			if sent, acked := s.counts(); sent != acked {
				return false
			}
		}
		return true
	})
	r.eventually("a poll of now arrives", 30*time.Second, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for at := range r.polls {
			if at > began.UnixMilli() {
				return true
			}
		}
		return false
	})
	for range 3 {
		r.eventually("the queue is empty", 30*time.Second, func() bool {
			m := r.metrics()
			return m != nil && m["fieldbridge_queue_backlog_readings"] == 0 && m["fieldbridge_queue_waiting_readings"] < 40
		})
		if r.stop() && r.kept() {
			break
		}
		// Something was in flight, or a tombstone is still to be told.
		r.start()
		r.eventually("the gateway listens", 20*time.Second, r.listening)
		time.Sleep(2 * time.Second) // tombstones come within a second or two
	}
	if r.process != nil {
		r.stop()
	}
	r.judge()
	for _, s := range r.sensors {
		s.pause(false)
	}
}

// stop stops the gateway, and reports whether nothing waits in its queue.
func (r *rig) stop() bool {
	r.t.Helper()
	p := r.process
	r.process = nil
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		r.t.Errorf("the gateway does not stop")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	r.oven.died()
	r.listen(p)
	return strings.Contains(p.stderr.String(), " waiting=0 ")
}

// save writes what has arrived to a file.
func (r *rig) save() (file string) {
	r.t.Helper()
	file = filepath.Join(r.dir, "arrived")
	if err := os.WriteFile(file, r.log.Bytes(), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return file
}

// kept reports whether nothing is missing of what has arrived so far.
func (r *rig) kept() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return exec.Command(program, "ledger", r.save()).Run() == nil
}

// judge has the ledger's tool judge what arrived, and asks each sensor.
func (r *rig) judge() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	file := r.save()
	r.log.Reset()
	defer clear(r.polls)
	lost, acknowledged := 0, 0
	for _, s := range r.sensors {
		_, acked := s.counts()
		acknowledged += acked
		for value := range acked {
			if key := s.name + " " + strconv.Itoa(value); !r.arrived[key] {
				if lost++; lost < 5 {
					r.t.Errorf("%s was acknowledged and never arrived", key)
				}
			}
		}
	}
	if lost > 0 {
		r.t.Errorf("%d acknowledged messages are lost", lost)
	}
	r.total.acknowledged = acknowledged
	r.total.lives++
	out, err := exec.Command(program, "ledger", "--json", file).Output()
	var report ledger.Report
	if e := json.Unmarshal(out, &report); e != nil {
		r.t.Fatalf("fieldbridge ledger: %v, %v: %s", err, e, out)
	}
	for _, killed := range r.killed {
		r.total.lastPolls++
		last := int64(0)
		for at := range r.polls {
			if at <= killed.at.UnixMilli() {
				last = max(last, at)
			}
		}
		if last < killed.answered.UnixMilli() {
			r.t.Errorf("of a gateway that was killed the last poll that arrived is of %v before, and it was answered %v before",
				killed.at.Sub(time.UnixMilli(last)), killed.at.Sub(killed.answered))
		}
	}
	r.killed = nil
	polls, missing := r.oven.settle()
	if r.exact && !r.refusing {
		r.total.polls += polls
		if len(missing) > r.reloaded { // a reload may give up a poll that is under way
			r.t.Errorf("of %d polls these never arrived though there is a journal: %v", polls, missing)
		}
	}
	r.reloaded, r.refusing = 0, false
	for _, run := range report.Runs {
		if n := run.Missing()[ledger.Uncommitted]; n > 0 && r.exact {
			r.t.Errorf("%d batches of run %s are missing though there is a journal", n, run.Run)
		}
		r.total.runs++
		r.total.batches += int(run.Batches)
		r.total.duplicates += int(run.Duplicates)
		r.total.uncommitted += int(run.Missing()[ledger.Uncommitted])
	}
	if err != nil || !report.Kept || report.Unread > 0 {
		text, e := exec.Command(program, "ledger", file).Output()
		r.t.Errorf("fieldbridge ledger: %v (%v):\n%s", err, e, text)
	}
	if r.t.Failed() {
		kept, err := os.MkdirTemp("", "fieldbridge-crash-failed-")
		if err == nil {
			err = os.CopyFS(kept, os.DirFS(r.dir))
		}
		r.t.Logf("what arrived is kept in %s (%v)", kept, err)
	}
}
