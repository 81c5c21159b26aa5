package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

// TestStoppedSeesTheJournal looks at the folder of a gateway that was killed: what
// waits is all there, with what the journal alone has, nothing is changed by that, and
// what was exported can be forgotten.
func TestStoppedSeesTheJournal(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "kill")
	found, err := filepath.Glob(filepath.Join(journal, "*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	before, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	c := leftConfig(dir, journal)
	r, err := OpenStopped(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Inspect(); got.Waiting.Batches != 95 || got.Journal.Batches != 85 || got.JournalUnread != "" {
		t.Errorf("%+v", got)
	}
	seqs := make(map[uint64]int)
	x, err := r.Entries(t.Context(), folder.Filter{}, func(entries []bridge.Entry) error {
		for i := range entries {
			if !sameContent(&entries[i]) {
				t.Errorf("%s %d has another content", entries[i].Run, entries[i].Seq)
			}
			seqs[entries[i].Seq]++
		}
		return nil
	})
	if err != nil || x.Unread != 0 || len(seqs) != 95 {
		t.Errorf("%d batches, %+v, %v", len(seqs), x, err)
	}
	other, err := r.Entries(t.Context(), folder.Filter{Device: "nobody"}, func([]bridge.Entry) error {
		t.Error("a batch of another device")
		return nil
	})
	if err != nil || len(other.Ranges) != len(x.Ranges) {
		t.Errorf("%+v, %v", other, err)
	}
	after, err := os.ReadFile(found[0])
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the journal is changed, %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	q := openQueue(t, c)
	isLeft(t, q)
	n, err := q.Forget(t.Context(), folder.Filter{}, x)
	if err != nil || n.Batches != 95 || q.Ledger().Waiting.Batches != 0 {
		t.Errorf("%d batches are forgotten, %v", n.Batches, err)
	}
}

// TestStoppedJournalOfAnother: what the next start sets aside is not taken for the
// queue's, and a journal that cannot be read is told.
func TestStoppedJournalOfAnother(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "kill")
	found, err := filepath.Glob(filepath.Join(journal, "*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	look := func() folder.Report {
		t.Helper()
		r, err := OpenStopped(leftConfig(dir, journal))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return r.Inspect()
	}
	good, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{"boot": 32, "queue": 16, "magic": 0, "size": 8} {
		bad := bytes.Clone(good)
		bad[at]++
		if err := os.WriteFile(found[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := look(); got.Journal.Batches != 0 || got.Waiting.Batches != 10 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := os.WriteFile(found[0], good[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := look(); got.JournalUnread == "" || got.Waiting.Batches != 10 {
		t.Errorf("cut: %+v", got)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	if got := look(); got.JournalUnread != "" || got.Journal.Batches != 0 {
		t.Errorf("gone: %+v", got)
	}
}
