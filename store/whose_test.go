package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/folder"
	"fieldbridge/store/origins"
	"fieldbridge/store/terms"
)

// of returns c for a gateway, and a site as its label.
func of(c terms.Config, gateway, site string) terms.Config {
	c.Origin = bridge.Origin{Gateway: gateway}
	if site != "" {
		c.Origin.Labels = map[string]string{"site": site}
	}
	return c
}

// whose returns "gateway site" of each of entries.
func whose(entries []bridge.Entry) (all []string) {
	for i := range entries {
		if o := entries[i].Origin; o != nil {
			all = append(all, strings.TrimSpace(o.Gateway+" "+o.Labels["site"]))
		} else {
			all = append(all, "nobody")
		}
	}
	return all
}

// appendSome appends n batches and makes them safe.
func appendSome(t *testing.T, q *Queue, n int) {
	t.Helper()
	for i := range n {
		q.Append(testBatch(i, 2), nil)
	}
	commitNow(t, q)
}

// readerOf opens the folder of a stopped queue.
func readerOf(t *testing.T, c terms.Config) *folder.Reader {
	t.Helper()
	r, err := OpenStopped(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// TestRenamedGateway: what a gateway of another name measured goes out as that one's, in
// all that tells of it, and a condition says so while any of it waits.
func TestRenamedGateway(t *testing.T) {
	c := testConfig(tempDir(t))
	q := openQueue(t, of(c, "press-line-2", "brno"))
	first := q.Run()
	appendSome(t, q, 3)
	if h := q.Health(); len(h) > 0 {
		t.Errorf("health %+v", h)
	}
	q.Close()

	q = openQueue(t, of(c, "press-line-9", "brno"))
	if h := q.Health(); len(h) != 1 || h[0].Code != condition.QueueOfAnother.Code ||
		!strings.Contains(h[0].Text, "3 batches wait that press-line-2 measured") {
		t.Errorf("health %+v", h)
	}
	appendSome(t, q, 1)
	runs := q.Runs()
	if len(runs) != 2 || runs[0].Gateway != "press-line-2" || runs[1].Gateway != "" ||
		runs[1].PreviousGateway != "press-line-2" || runs[1].Previous != first {
		t.Errorf("run records %+v", runs)
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	want := []string{"press-line-2 brno", "press-line-2 brno", "press-line-2 brno", "press-line-9 brno"}
	if got := whose(entries); !slices.Equal(got, want) {
		t.Errorf("handed out as %q", got)
	}
	if r := q.Inspect(); !slices.Equal(r.Gateways, []string{"press-line-2", "press-line-9"}) {
		t.Errorf("inspect: %q", r.Gateways)
	}
	q.Bury("no", entries[0].Position)
	q.Ack(entries[1].Position)
	q.Ack(entries[3].Position)
	q.Offline()
	commitNow(t, q)
	q.Close()

	r := readerOf(t, c)
	if report := r.Inspect(); !slices.Equal(report.Gateways, []string{"press-line-2", "press-line-9"}) {
		t.Errorf("inspect of the folder: %q", report.Gateways)
	}
	var stopped []bridge.Entry
	if _, err := r.Entries(t.Context(), folder.Filter{}, func(some []bridge.Entry) error {
		stopped = append(stopped, slices.Clone(some)...)
		return nil
	}); err != nil || !slices.Equal(whose(stopped), want[2:3]) {
		t.Errorf("exported as %q: %v", whose(stopped), err)
	}
	if err := r.Dead(t.Context(), func(l folder.DeadLetter) error {
		if got := whose([]bridge.Entry{l.Entry}); got[0] != want[0] {
			t.Errorf("dead letter of %q", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r.Close()

	q = openQueue(t, of(c, "press-line-9", "brno"))
	stones := q.Tombstones()
	if len(stones) != 1 || stones[0].Gateway != "press-line-2" || stones[0].Run != first {
		t.Errorf("tombstones %+v", stones)
	}
	// Under new numbers it would be of this gateway: that is refused in words, and purging is not.
	if _, err := q.RetryDead(t.Context()); err == nil || !strings.Contains(err.Error(), "was measured by press-line-2") {
		t.Errorf("retry: %v", err)
	}
	if n, err := q.PurgeDead(t.Context()); err != nil || n.Batches != 1 {
		t.Errorf("purge: %+v, %v", n, err)
	}
	q.Online()
	entries = take(t, q, bridge.Backlog)
	ackAll(q, entries)
	if h := q.Health(); len(entries) != 1 || len(h) > 0 {
		t.Errorf("%d more, health %+v", len(entries), h)
	}
}

// TestLabelsThatChange: each batch has the labels of when it was measured, over changes in
// the middle of a run, restarts, a lost index, and dead letters that are retried.
func TestLabelsThatChange(t *testing.T) {
	c := testConfig(tempDir(t))
	q := openQueue(t, of(c, "g", "a"))
	appendSome(t, q, 2)
	if err := q.Apply(of(c, "g", "b")); err != nil {
		t.Fatal(err)
	}
	appendSome(t, q, 2)
	if err := q.Apply(of(c, "g", "a")); err != nil {
		t.Fatal(err)
	}
	appendSome(t, q, 1)
	q.Close()
	q = openQueue(t, of(c, "g", "c"))
	appendSome(t, q, 1)
	want := []string{"g a", "g a", "g b", "g b", "g a", "g c"}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	if got := whose(entries); !slices.Equal(got, want) {
		t.Errorf("handed out under %q, want %q", got, want)
	}
	if h := q.Health(); len(h) > 0 {
		t.Errorf("the same gateway under other labels is no other: %+v", h)
	}
	q.Offline()
	q.Close()
	if err := os.Remove(filepath.Join(string(c.Dir), folder.IndexFile)); err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, of(c, "g", "c"))
	q.Online()
	entries = take(t, q, bridge.Backlog)
	if got := whose(entries); !slices.Equal(got, want) {
		t.Errorf("without the index: under %q, want %q", got, want)
	}
	for i := range entries {
		q.Bury("no", entries[i].Position)
	}
	commitNow(t, q)
	if n, err := q.RetryDead(t.Context()); err != nil || n.Batches != uint64(len(want)) {
		t.Fatalf("retry: %+v, %v", n, err)
	}
	appendSome(t, q, 1)
	want = append(want, "g c")
	if got := whose(take(t, q, bridge.Fresh)); !slices.Equal(got, want) {
		t.Errorf("retried under %q, want %q", got, want)
	}
	q.Close()
	q = openQueue(t, of(c, "g", "d"))
	q.Online()
	if got := whose(take(t, q, bridge.Backlog)); !slices.Equal(got, want) {
		t.Errorf("retried, after a restart: under %q, want %q", got, want)
	}
}

// TestFolderWithoutOrigins: a folder of an older release goes on as the configured
// gateway's, and is that one's from then on; runs that an older release begins in between
// are of who measured before them.
func TestFolderWithoutOrigins(t *testing.T) {
	c := testConfig(tempDir(t))
	record := filepath.Join(string(c.Dir), origins.File)
	q := openQueue(t, c) // which says nothing
	appendSome(t, q, 1)
	q.Close()
	if _, err := os.Stat(record); !os.IsNotExist(err) {
		t.Fatalf("a record of nobody: %v", err)
	}
	openQueue(t, of(c, "press-line-2", "")).Close()
	kept, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, of(c, "somebody", "")) // stands for the older release: it writes no record
	appendSome(t, q, 1)
	q.Close()
	if err := os.WriteFile(record, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, of(c, "press-line-9", ""))
	q.Online()
	if got := whose(take(t, q, bridge.Backlog)); !slices.Equal(got, []string{"press-line-2", "press-line-2"}) {
		t.Errorf("handed out as %q", got)
	}
	q.Close()
	// What says nothing, as a command at a stopped queue, is who measured last.
	q = openQueue(t, c)
	if o := q.origins.Origin(q.Run(), 1); o == nil || o.Gateway != "press-line-9" {
		t.Errorf("a run of %+v", o)
	}
}

// TestDamagedOrigins: it starts all the same, and says so.
func TestDamagedOrigins(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no frame": "press-line-2", "cut": "FBS1\x00\x00\x00\x00{"} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(tempDir(t))
			q := openQueue(t, of(c, "press-line-2", ""))
			appendSome(t, q, 1)
			q.Close()
			if err := os.WriteFile(filepath.Join(string(c.Dir), origins.File), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r := readerOf(t, c)
			if report := r.Inspect(); report.Gateways != nil || report.Waiting.Batches != 1 {
				t.Errorf("inspect: %+v", report)
			}
			r.Close()
			q = openQueue(t, of(c, "press-line-9", ""))
			if !q.conditions.Has(condition.QueueDamaged, subject) {
				t.Errorf("health %+v", q.Health())
			}
			q.Online()
			if got := whose(take(t, q, bridge.Backlog)); !slices.Equal(got, []string{"press-line-9"}) {
				t.Errorf("handed out as %q", got)
			}
		})
	}
}

// TestNothingIsTakenForAnothers: while it cannot be recorded that another gateway measures
// now, nothing is made durable; a kill takes it rather than its name.
func TestNothingIsTakenForAnothers(t *testing.T) {
	c := testConfig(tempDir(t))
	q := openQueue(t, of(c, "press-line-2", ""))
	appendSome(t, q, 1)
	q.Close()
	inTheWay := filepath.Join(string(c.Dir), origins.File)
	kept, err := os.ReadFile(inTheWay)
	if err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, of(c, "press-line-2", ""))
	block := func() {
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	block()
	if err := q.Apply(of(c, "press-line-2", "brno")); err != nil {
		t.Fatal(err)
	}
	q.Append(testBatch(1, 2), nil)
	if err := q.Commit(t.Context()); err == nil {
		t.Error("it is made durable under labels that it did not have")
	}
	if s := q.Status(); s.Memory.Batches != 1 {
		t.Errorf("%+v is in memory", s.Memory)
	}
	if !q.conditions.Has(condition.QueueUnwritable, subject) {
		t.Errorf("health %+v", q.Health())
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inTheWay, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	commitNow(t, q)
	q.Close()
	q = openQueue(t, of(c, "press-line-2", "brno"))
	q.Online()
	if got := whose(take(t, q, bridge.Backlog)); !slices.Equal(got, []string{"press-line-2", "press-line-2 brno"}) {
		t.Errorf("handed out as %q", got)
	}
}
