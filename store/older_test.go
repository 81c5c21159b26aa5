package store

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

// older is what commit 268a91e says of the folder that it wrote: 320 batches of one
// run, of which 30 are acknowledged, 12 were dead letters and are queued again, 9
// are dead letters and 40 are damaged and set aside; 40 batches of another run. It
// was copied as a kill leaves it.
type older struct {
	Runs   []string      `json:"runs"`
	Ledger bridge.Ledger `json:"ledger"`
	Dead   []struct {
		Run      string          `json:"run"`
		Seq      uint64          `json:"seq"`
		Cause    string          `json:"cause"`
		Position bridge.Position `json:"position"`
	} `json:"dead"`
	Tombstones []bridge.Tombstone `json:"tombstones"`
}

// olderFolder unpacks that folder.
func olderFolder(t *testing.T) (dir string, says older) {
	t.Helper()
	f, err := os.Open("testdata/queue-268a91e.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	to := tempDir(t)
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(to, "queue"), says
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(files)
		path := filepath.Join(to, h.Name)
		switch {
		case err != nil:
		case h.Name == "says.json":
			err = json.Unmarshal(data, &says)
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(path, 0o700)
		default:
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkLetters compares dead letters with what the older release said of them.
func checkLetters(t *testing.T, says *older, q interface {
	Dead(ctx context.Context, visit func(folder.DeadLetter) error) error
}) {
	t.Helper()
	var want, got []string
	for _, l := range says.Dead {
		want = append(want, fmt.Sprint(l.Run, l.Seq, l.Cause, l.Position, true))
	}
	if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
		whole := len(l.Readings) == 23 && l.Readings[1] == content(l.Run, l.Seq).Readings[1]
		got = append(got, fmt.Sprint(l.Run, l.Seq, l.Cause, l.Position, whole))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("dead letters (-want +got):\n%s", d)
	}
}

// TestOlderFolder: a folder that 268a91e wrote is looked at, opens, turns its dead
// letters over, drains, and its ledger adds up.
func TestOlderFolder(t *testing.T) {
	dir, says := olderFolder(t)
	before := listing(t, dir)
	stopped, err := OpenStopped(roomyConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	if r := stopped.Inspect(); r.Dead != says.Ledger.Dead || r.Waiting != says.Ledger.Waiting ||
		len(r.Tombstones) != len(says.Tombstones) {
		t.Errorf("stopped: %+v", r)
	}
	checkLetters(t, &says, stopped)
	files, aside := 0, 0
	if err := stopped.Verify(t.Context(), func(v folder.Verified) {
		if files++; v.Damage != nil || v.Count.Readings == 0 && !v.Quarantine {
			t.Errorf("%+v", v)
		}
		if v.Quarantine {
			aside++
		}
	}); err != nil || files < 5 || aside != 1 {
		t.Errorf("%d files, %d set aside: %v", files, aside, err)
	}
	stopped.Close()
	if d := cmp.Diff(before, listing(t, dir)); d != "" {
		t.Errorf("looking at it has changed it:\n%s", d)
	}
	for _, again := range []bool{false, true} {
		q := openQueue(t, roomyConfig(dir))
		if l := q.Ledger(); l.Dead != says.Ledger.Dead || l.Waiting != says.Ledger.Waiting || !l.Balanced() {
			t.Errorf("ledger: %+v", l)
		}
		checkLetters(t, &says, q)
		commitNow(t, q)
		if _, err := os.Lstat(filepath.Join(dir, folder.OldFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the old file is still there: %v", err)
		}
		if !again { // the new segments are there after a kill
			dir = copyDir(t, dir)
			continue
		}
		drainOlder(t, q, &says)
	}
}

func drainOlder(t *testing.T, q *Queue, says *older) {
	t.Helper()
	if n, err := q.RetryDead(t.Context()); err != nil || n != says.Ledger.Dead {
		t.Errorf("%+v are retried: %v", n, err)
	}
	q.Online()
	judge, arrived := audit{t: t}, map[string]bool{}
	for seq := range uint64(30) { // were acknowledged then
		arrived[says.Runs[0]+" "+itoa(seq+1)] = true
	}
	ids := map[string]int{}
	for _, e := range drainSlowly(t, q) {
		arrived[e.Run+" "+itoa(e.Seq)] = true
		ids[e.Readings[0].Value.Str()+e.Readings[1].Value.String()]++
	}
	judge.named(arrived)
	judge.notices(q)
	judge.kept()
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s arrives %d times", id, n)
		}
	}
	l := q.Ledger()
	if want := says.Ledger.Waiting.Add(says.Ledger.Dead); l.Acked != want || l.Damaged != (bridge.Count{}) ||
		l.Dead != (bridge.Count{}) || !l.Balanced() {
		t.Errorf("drained: %+v", l)
	}
}

// TestOlderDeadLettersDamaged: what is whole in a damaged file of an older release is
// turned over, and the file is set aside.
func TestOlderDeadLettersDamaged(t *testing.T) {
	master, says := olderFolder(t)
	known := map[string]bool{}
	for _, l := range says.Dead {
		known[l.Run+" "+itoa(l.Seq)] = true
	}
	for _, c := range damages() {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, master)
			func() {
				defer func() {
					if p := recover(); p != nil { // a page beyond the end of so small a file
						t.Skip(p)
					}
				}()
				c.damage(t, filepath.Join(dir, folder.OldFile))
			}()
			q := openQueue(t, roomyConfig(dir))
			n := uint64(0)
			if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
				if n++; !known[l.Run+" "+itoa(l.Seq)] || len(l.Readings) != 23 ||
					l.Readings[1] != content(l.Run, l.Seq).Readings[1] {
					t.Errorf("%s %d is not what was buried", l.Run, l.Seq)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if l := q.Ledger(); l.Dead.Batches != n || !l.Balanced() || c.name == "none" && n != uint64(len(known)) {
				t.Errorf("%d letters of %d, ledger %+v", n, len(known), l)
			}
			if _, err := os.Lstat(filepath.Join(dir, folder.OldFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the old file is still there: %v", err)
			}
		})
	}
}
