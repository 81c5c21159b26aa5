package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/store/folder"
)

// TestVerifySeesAllFiles damages a segment and the dead letters: a stopped queue
// says so and changes nothing, a running one repairs them, and what was set aside
// is listed with what can still be read of it.
func TestVerifySeesAllFiles(t *testing.T) {
	master := filled(t)
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	dir := copyDir(t, master.shelf.Dir)
	segment, letters := filepath.Base(master.shelf.Segments[1].Path),
		filepath.Join(folder.DeadDir, filepath.Base(deadPath("")))
	onPage(pageLeaf, 5, flipAt(2000))(t, filepath.Join(dir, segment))
	onPage(pageLeaf, 1, flipAt(1000))(t, filepath.Join(dir, letters))
	verify := func(q interface {
		Verify(ctx context.Context, found func(folder.Verified)) error
	}) (bad, aside []string) {
		t.Helper()
		if err := q.Verify(t.Context(), func(v folder.Verified) {
			switch {
			case v.Damage != nil:
				bad = append(bad, v.File)
				t.Logf("%s: %v", v.File, v.Damage)
			case v.Quarantine:
				aside = append(aside, v.File)
				if v.Count.Readings == 0 || v.Bytes == 0 {
					t.Errorf("nothing can be read of %+v", v)
				}
			case v.Count.Batches == 0 || v.Bytes == 0:
				t.Errorf("%+v", v)
			}
		}); err != nil {
			t.Fatal(err)
		}
		return bad, aside
	}
	before := listing(t, dir)
	stopped, err := OpenStopped(roomyConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	bad, aside := verify(stopped)
	stopped.Close()
	if d := cmp.Diff([]string{segment, letters}, bad); d != "" || len(aside) > 0 {
		t.Errorf("stopped: %s%v", d, aside)
	}
	if d := cmp.Diff(before, listing(t, dir)); d != "" {
		t.Error("looking at it has changed it")
	}
	q := openQueue(t, roomyConfig(dir))
	// The newest segment of dead letters is read at the start, and repaired.
	if bad, _ = verify(q); len(bad) == 0 || bad[0] != segment {
		t.Errorf("running: damaged are %v", bad)
	}
	commitNow(t, q) // which waits for the repair
	bad, aside = verify(q)
	if len(bad) > 0 || len(aside) != 2 || !strings.HasPrefix(aside[0], "quarantine/dead-seg-") ||
		!strings.HasPrefix(aside[1], "quarantine/seg-") {
		t.Errorf("repaired: damaged are %v, set aside %v", bad, aside)
	}
	// The letter is lost, or found on a page that a later commit has freed.
	if l := q.Ledger(); l.Dead.Batches < 4 || l.Dead.Batches > 5 || l.Damaged.Batches != 20+5-l.Dead.Batches ||
		!l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
}
