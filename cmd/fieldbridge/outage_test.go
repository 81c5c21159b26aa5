package main

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/ledger"
)

// TestOutageWithKill cuts the cloud for 12 s (30 s with FIELDBRIDGE_SOAK) under 1,000
// readings a second and kills the gateway with SIGKILL in the middle of it. The proof is
// made of what the sensors saw acknowledged and what the cloud has got, nothing else.
func TestOutageWithKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	if !namespace(t) {
		return
	}
	needPython(t, "paho.mqtt.client")
	s := newSite(t)
	gateway := s.startGateway()
	eventually(t, "the gateway's broker listens", 10*time.Second, listening("127.0.0.1:1883"))
	script, err := filepath.Abs("testdata/sensors.py")
	if err != nil {
		t.Fatal(err)
	}
	outage := 12 * time.Second
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		outage = 30 * time.Second
	}
	const rate = 1000
	sending := int(outage.Seconds()) + 10
	sensors := spawn(t, s.dir, python, script, "acked", "50", strconv.Itoa(rate), strconv.Itoa(sending))
	eventually(t, "sensor readings arrive", 15*time.Second,
		func() bool { return strings.Contains(s.sub.out.String(), `"device":"s49"`) })

	s.cloud.signal(syscall.SIGTERM, 10*time.Second)
	cut := time.Now()
	wait := func(d time.Duration) { time.Sleep(time.Until(cut.Add(d))) } // the outage's own clock
	wait(outage * 2 / 5)
	eventually(t, "readings wait", time.Minute, func() bool {
		return scrape()["fieldbridge_queue_waiting_readings"] >= rate*outage.Seconds()/6
	})
	if m := scrape(); !ledgerHolds(m) {
		t.Errorf("in the outage: %v", m)
	}
	gateway.signal(syscall.SIGKILL, 5*time.Second)
	killed := time.Now()
	wait(outage/2 + time.Second)
	gateway = s.startGateway()
	eventually(t, "the gateway is back while the cloud is down", 10*time.Second, listening("127.0.0.1:1883"))
	dead := time.Since(killed)
	wait(outage)
	s.startCloud()

	<-sensors.end
	t.Logf("sensors: %s", sensors.out)
	acked := readLines(t, filepath.Join(s.dir, "acked"))
	if len(acked) < rate*sending*5/8 {
		t.Errorf("only %d messages were acknowledged in %d s at %d/s", len(acked), sending, rate)
	}
	eventually(t, "the queue is empty again", 60*time.Second, func() bool {
		m := scrape()
		return m != nil && m["fieldbridge_queue_waiting_readings"] < 2000 && m["fieldbridge_queue_backlog_readings"] == 0
	})
	if m := scrape(); !ledgerHolds(m) {
		t.Errorf("the ledger does not hold: %v", m)
	}
	gateway.signal(syscall.SIGTERM, 5*time.Second)
	eventually(t, "the goodbye arrives", 10*time.Second,
		func() bool { return strings.Contains(s.sub.out.String(), `"reason":"stopped"`) })
	s.verify(t, acked, dead)
	s.verifyLedger(t)
}

// verifyLedger has 'fieldbridge ledger' judge what the cloud has got: but for
// what the kill took before it was on disk, nothing may be missing.
func (s *site) verifyLedger(t *testing.T) {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := dispatch(t.Context(), []string{"ledger"}, strings.NewReader(s.sub.out.String()), &stdout,
		&stderr); code != exitDone {
		t.Errorf("fieldbridge ledger: exit %d", code)
	}
	t.Logf("fieldbridge ledger:\n%s%s", &stdout, &stderr)
	var l ledger.Ledger
	if err := l.Read(t.Context(), "mosquitto_sub", strings.NewReader(s.sub.out.String())); err != nil {
		t.Fatal(err)
	}
	r := l.Report()
	if len(r.Runs) != 2 || r.Unread > 0 || !r.Runs[0].Began || !r.Runs[1].Began || r.Runs[0].DurableLast == 0 {
		t.Errorf("not two runs with their records: %+v", r)
	}
	for _, run := range r.Runs {
		if n := run.Missing(); n[ledger.Named] > 0 {
			t.Errorf("run %s: %d batches are missing by tombstones, though nothing was dropped", run.Run, n[ledger.Named])
		}
	}
}

// verify compares what was acknowledged to the sensors with what has arrived,
// and looks for holes in the polls.
func (s *site) verify(t *testing.T, acked []string, dead time.Duration) {
	t.Helper()
	batches := s.received()
	type id struct {
		run string
		seq uint64
	}
	content := make(map[id]string)
	arrived := make(map[string]bool)
	var polls []int64
	duplicates := 0
	for _, b := range batches {
		k := id{b.Run, b.Seq}
		if old, ok := content[k]; ok {
			duplicates++
			if old != b.text {
				t.Fatalf("(%s, %d) has two contents:\n%s\n%s", k.run, k.seq, old, b.text)
			}
			continue
		}
		content[k] = b.text
		if v, ok := b.Points["temperature"]; ok {
			arrived[b.Device+" "+v.String()] = true
		}
		if b.Device == "boiler" && len(b.Points) > 0 {
			polls = append(polls, b.At)
		}
	}
	missing := 0
	for _, line := range acked {
		if !arrived[line] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d acknowledged sensor messages are not at the cloud", missing, len(acked))
	}
	slices.Sort(polls)
	var hole, total time.Duration
	for i := 1; i < len(polls); i++ {
		if d := time.Duration(polls[i]-polls[i-1])*time.Millisecond - time.Second; d > 500*time.Millisecond {
			total += d
			hole = max(hole, d)
		}
	}
	// commit_every is 3 s; the cycle that was under way and the first of the new
	// run are a second each. A busy machine polls late, too.
	if most := dead + 3*time.Second + 2*time.Second + busy*time.Second; total > most {
		t.Errorf("polls are missing for %v, at most %v allowed (dead for %v)", total, most, dead)
	}
	t.Logf("%d batches arrived, %d duplicates, %d acknowledged by sensors, all there; polls missing for %v (gateway "+
		"dead for %v)",
		len(content), duplicates, len(acked), total, dead)
}

func readLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return lines
}
