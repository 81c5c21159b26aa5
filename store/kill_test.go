package store

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// childDir is the environment variable that makes the test binary a gateway
// that is going to be killed.
const (
	childDir  = "FIELDBRIDGE_KILL_DIR"
	childName = "FIELDBRIDGE_KILL_GATEWAY" // how it is called
)

// kills returns how many times to kill: FIELDBRIDGE_SOAK, or few.
func soak(few int) int {
	if n, err := strconv.Atoi(os.Getenv("FIELDBRIDGE_SOAK")); err == nil {
		return n
	}
	return few
}

// content is what the batch (run, seq) must hold for ever.
func content(run string, seq uint64) bridge.Batch {
	return bridge.Batch{Device: "dev" + strconv.Itoa(int(seq%7)), At: time.UnixMilli(1763887500000 + int64(seq)),
		Readings: []bridge.Reading{
			{Point: "run", Value: bridge.String(run)}, {Point: "seq", Value: bridge.Uint(seq)},
			{Point: "noise", Value: bridge.Uint(seq * 2654435761)}}}
}

func sameContent(e *bridge.Entry) bool {
	want := content(e.Run, e.Seq)
	if e.Device != want.Device || len(e.Readings) != len(want.Readings) {
		return false
	}
	for i := range want.Readings {
		if e.Readings[i] != want.Readings[i] {
			return false
		}
	}
	return true
}

func killConfig(dir string) terms.Config {
	c := testConfig(dir)
	c.CommitEvery = terms.Pace(20 * time.Millisecond)
	c.SegmentSize = 128 << 10
	c.MaxSize = 64 << 20
	c.Origin.Gateway = os.Getenv(childName)
	return c
}

// TestKilledChild is the gateway that is killed: it appends, some with a sensor
// that waits, and delivers to a cloud that comes and goes. It tells its parent
// what it promised and what the cloud has got.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	q, err := Open(killConfig(dir), quiet)
	if err != nil {
		t.Fatal(err)
	}
	smallBlocks(t, q, 1000)
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format, args...)
	}
	say("run %s\n", q.Run())
	// What the birth tells: the queue keeps the latest records only.
	runs := q.Runs()
	record, err := json.Marshal(runs[len(runs)-1:])
	if err != nil {
		t.Fatal(err)
	}
	say("record %s\n", record)
	if l := q.Ledger(); !l.Balanced() {
		say("bad the ledger at the start: %+v\n", l)
	}
	go func() {
		rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(30))*time.Millisecond)
			q.Online()
			var lanes sync.WaitGroup
			for _, which := range []bridge.Lane{bridge.Fresh, bridge.Backlog} {
				lanes.Go(func() {
					for {
						entries, err := q.Next(ctx, which, 10)
						if err != nil {
							return
						}
						for i := range entries {
							if !sameContent(&entries[i]) {
								say("bad content of %s %d\n", entries[i].Run, entries[i].Seq)
							}
							if entries[i].Seq%23 == 0 {
								q.Bury("no", entries[i].Position)
								continue
							}
							say("whose %s %s\n", entries[i].Run, entries[i].Origin.Gateway)
							say("cloud %s %d\n", entries[i].Run, entries[i].Seq)
							q.Ack(entries[i].Position)
						}
					}
				})
			}
			lanes.Wait()
			for _, s := range q.Tombstones() {
				text, _ := json.Marshal(s)
				say("stone %s\n", text)
				q.AckTombstones(s.ID)
			}
			cancel()
			q.Offline()
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		}
	}()
	for seq := uint64(1); ; seq++ {
		var safe func(error)
		if seq%3 == 0 {
			safe = func(err error) {
				if err == nil {
					say("safe %s %d\n", q.Run(), seq)
				}
			}
		}
		q.Append(content(q.Run(), seq), safe)
		if seq%50 == 0 {
			time.Sleep(time.Millisecond)
		}
		if l := q.Ledger(); !l.Balanced() {
			say("bad ledger: %+v\n", l)
		}
	}
}

// TestKill kills a gateway at random instants, and calls it otherwise each time. Nothing that was reported safe
// may be missing, no (run, seq) may have two contents or be given twice, each is of the
// gateway that measured it, and the ledger must say what is there. Many batches are refused:
// a letter that is on disk before its neighbours is where a kill leaves most.
func TestKill(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	dir := tempDir(t)
	safe, cloud, runs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	judge := audit{t: t, whose: map[string]string{}}
	for i := range soak(16) {
		judge.gateway = "g" + strconv.Itoa(i%3)
		killOnce(t, dir, safe, cloud, runs, &judge)
	}
	last := killConfig(dir)
	last.Origin.Gateway = judge.gateway
	q, err := Open(last, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	waiting := q.Ledger().Waiting.Batches
	q.Online()
	entries := take(t, q, bridge.Backlog)
	seen := map[string]bool{}
	for i := range entries {
		key := fmt.Sprintf("%s %d", entries[i].Run, entries[i].Seq)
		if seen[key] || !sameContent(&entries[i]) || entries[i].Origin.Gateway != judge.whose[entries[i].Run] {
			t.Errorf("%s is there twice, with a wrong content, or as %q's", key, entries[i].Origin.Gateway)
		}
		seen[key], cloud[key] = true, true
	}
	judge.named(cloud)
	judge.notices(q)
	judge.kept()
	if uint64(len(entries)) != waiting {
		t.Errorf("the ledger says that %d batches wait, %d were handed out", waiting, len(entries))
	}
	dead := 0
	if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
		cloud[fmt.Sprintf("%s %d", l.Run, l.Seq)] = true // which the verifier has from tombstones alone
		dead++
		return nil
	}); err != nil || dead == 0 {
		t.Errorf("%d dead letters: %v", dead, err)
	}
	for key := range safe {
		if !cloud[key] {
			t.Errorf("%s was reported safe and is missing", key)
		}
	}
	if len(safe) == 0 || len(cloud) == 0 {
		t.Error("nothing was tested")
	}
	if s, l := lostFromDisk(q), q.Ledger(); len(s) > 0 || !l.Balanced() || l.Damaged.Batches > 0 {
		t.Errorf("tombstones %+v, ledger %+v", s, l)
	}
	t.Logf("%d runs, %d batches reported safe, %d delivered or found, %d of them dead letters", len(runs), len(safe),
		len(cloud), dead)
}

func killOnce(t *testing.T, dir string, safe, cloud, runs map[string]bool, judge *audit) {
	t.Helper()
	killChild(t, "TestKilledChild", []string{childDir + "=" + dir, childName + "=" + judge.gateway}, func(line string) {
		switch {
		case len(line) > 5 && line[:5] == "safe ":
			safe[line[5:]] = true
		case len(line) > 6 && line[:6] == "cloud ":
			cloud[line[6:]] = true
		case len(line) > 7 && line[:7] == "record ":
			judge.message(map[string]any{"run": "any", "type": "online", "at": 1, "connection": 1,
				"runs": json.RawMessage(line[7:])})
		case len(line) > 6 && line[:6] == "stone ":
			var s bridge.Tombstone
			if err := json.Unmarshal([]byte(line[6:]), &s); err != nil || s.Cause != books.Uncommitted && s.Cause != books.Dead {
				t.Errorf("tombstone %s: %v", line[6:], err)
			}
			judge.message(map[string]any{"run": "any", "type": "lost", "at": 1, "lost": json.RawMessage(line[6:])})
		case len(line) > 4 && line[:4] == "run ":
			if runs[line[4:]] {
				t.Errorf("run %s was given twice", line[4:])
			}
			runs[line[4:]], judge.whose[line[4:]] = true, judge.gateway
		case len(line) > 6 && line[:6] == "whose ":
			if run, name, _ := strings.Cut(line[6:], " "); judge.whose[run] != name {
				t.Errorf("run %s of %s goes out as %s", run, judge.whose[run], name)
			}
		default:
			t.Error(line)
		}
	})
}

// killChild runs a test of this binary as a process of its own, hears what it says, and kills
// it at a random instant: some while they start, which takes a busy machine long, most when
// they have said something.
func killChild(t *testing.T, test string, env []string, hear func(line string)) {
	t.Helper()
	cmd := exec.Command(needtest.Self(t), "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	after, started := time.Duration(1+rand.IntN(150))*time.Millisecond, false
	if rand.IntN(5) == 0 {
		started = true
		defer time.AfterFunc(after, kill).Stop()
	}
	defer time.AfterFunc(time.Minute, kill).Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !started {
			started = true
			defer time.AfterFunc(after, kill).Stop()
		}
		hear(lines.Text())
	}
	_ = cmd.Wait()
}
