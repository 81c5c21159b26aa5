package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/state"
)

// cutDir is the environment variable that makes the test binary the gateway
// whose writes and syncs are recorded.
const cutDir = "FIELDBRIDGE_CUT_DIR"

// TestCutChild is that gateway: commits, acknowledgements, new segments, drops,
// dead letters, a restart. It says on stdout what it promised, so that this is
// in the record, too.
func TestCutChild(t *testing.T) {
	dir := os.Getenv(cutDir)
	if dir == "" {
		t.Skip("only as a child of TestPowerCuts")
	}
	say := func(what string, run string, seq uint64) {
		os.Stdout.WriteString("@" + what + " " + run + " " + itoa(seq) + "\n")
	}
	for life := range uint64(2) {
		c := killConfig(cutQueue(dir))
		c.SegmentSize = 96 << 10
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		notes, err := state.Open(string(c.Dir))
		if err != nil {
			t.Fatal(err)
		}
		smallBlocks(t, q, 200) // some for each commit: one is made while another is written
		say("run", q.Run(), 0)
		q.Online()
		for seq := uint64(1); seq <= 300; seq++ {
			b := content(q.Run(), seq)
			b.Readings = append(b.Readings, noiseOf(int(seq), 30).Readings...)
			q.Append(b, func(err error) {
				if err == nil {
					say("safe", q.Run(), seq)
				}
			})
			if seq%15 == 0 {
				commitNow(t, q)
			}
			if n := 1000*life + seq; seq%25 == 5 {
				if err := notes.Put("counter", []byte(itoa(n))); err != nil {
					t.Fatal(err)
				}
				say("put", "counter", n)
			}
			if seq%100 == 0 {
				entries := take(t, q, bridge.Fresh)
				for i := range entries[:len(entries)/2] {
					say("cloud", entries[i].Run, entries[i].Seq)
					if i == 3 {
						q.Bury("no", entries[i].Position)
						continue
					}
					q.Ack(entries[i].Position)
				}
				q.Offline()
				q.Online()
				for _, e := range take(t, q, bridge.Backlog)[:30] {
					say("cloud", e.Run, e.Seq)
					q.Ack(e.Position)
				}
				time.Sleep(time.Millisecond)
			}
		}
		if err := errors.Join(notes.Close(), q.Close()); err != nil {
			t.Fatal(err)
		}
		s := q.Status()
		say("counted", itoa(s.Written), s.Syncs)
	}
}

// cutQueue is where the queue is: in a folder that has to be made, too.
func cutQueue(dir string) string { return filepath.Join(dir, "data", "queue") }

// restartDir is cutDir for a gateway that starts after a cut.
const restartDir = "FIELDBRIDGE_CUT_RESTART_DIR"

// TestCutRestartChild is that gateway: it starts, repairs what is damaged, and
// delivers half of what it has.
func TestCutRestartChild(t *testing.T) {
	dir := os.Getenv(restartDir)
	if dir == "" {
		t.Skip("only as a child of TestPowerCuts")
	}
	q, err := Open(roomyConfig(cutQueue(dir)), quiet)
	if err != nil {
		t.Fatal(err)
	}
	q.Online()
	for range 3 {
		entries := take(t, q, bridge.Backlog)
		for i := range entries[:len(entries)/2] {
			os.Stdout.WriteString("@cloud " + entries[i].Run + " " + itoa(entries[i].Seq) + "\n")
			q.Ack(entries[i].Position)
		}
		commitNow(t, q) // which waits for a repair
		q.Offline()
		q.Online()
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// smallBlocks makes the queue's blocks hold so many readings.
func smallBlocks(t *testing.T, q *Queue, readings uint64) {
	t.Helper()
	if err := q.keep.ask(t.Context(), func() error { q.keep.block.Readings = readings; return nil }); err != nil {
		t.Fatal(err)
	}
}

func itoa(n uint64) string {
	b := [20]byte{}
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
