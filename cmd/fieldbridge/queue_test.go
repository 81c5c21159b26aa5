package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/store"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// queueWith returns a queue of n batches of two readings in a folder of its own.
func queueWith(t *testing.T, n int) (*store.Queue, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "queue")
	var c terms.Config
	c.SetDefaults()
	c.Dir = setting.Path(dir)
	q, err := store.Open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	for i := range n {
		q.Append(bridge.Batch{Device: []string{"boiler", "press"}[i%2], At: time.UnixMilli(1763887500000 + int64(i)*1000),
			Readings: []bridge.Reading{{Point: "a", Value: bridge.Int(int64(i))},
				{Point: "b", Value: bridge.Bad(bridge.ReasonTimeout)}}}, nil)
	}
	return q, dir
}

// serveQueueOf makes q one that a gateway runs.
func serveQueueOf(t *testing.T, q *store.Queue, dir string) {
	t.Helper()
	l, err := control.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	control.HandleQueue(mux, q, "press-line", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		console.ServeOn(ctx, l, mux)
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestQueueCommand(t *testing.T) {
	for _, running := range []bool{true, false} {
		name := "stopped"
		if running {
			name = "running"
		}
		t.Run(name, func(t *testing.T) {
			q, dir := queueWith(t, 100)
			if running {
				serveQueueOf(t, q, dir)
			} else {
				q.Close()
			}
			testQueueCommand(t, dir)
		})
	}
}

func testQueueCommand(t *testing.T, dir string) {
	want := func(part string, args ...string) string {
		t.Helper()
		code, stdout, stderr := call(t, append([]string{"queue"}, args...)...)
		if code != exitDone || !strings.Contains(stdout+stderr, part) {
			t.Fatalf("%v: exit %d, want %q\nstdout %.500s\nstderr %.500s", args, code, part, stdout, stderr)
		}
		return stdout
	}
	csv := want("boiler", "export", dir, "--gateway", "press-line")
	if lines := strings.Count(csv, "\n"); lines != 201 || !strings.Contains(csv, ",press-line,") {
		t.Errorf("%d lines of csv: %.300s", lines, csv)
	}
	var report folder.Report
	if err := json.Unmarshal([]byte(want("segments", "inspect", dir, "--json")), &report); err != nil ||
		report.Waiting.Batches != 100 {
		t.Errorf("inspect: %v %+v", err, report)
	}
	want("100 batches of 200 readings wait", "inspect", dir)
	want("1 files read, 0 damaged, 0 in quarantine", "verify", dir)
	want("0 dead letters", "dead", "list", dir)
	file := filepath.Join(t.TempDir(), "out.jsonl")
	want("20 batches of 40 readings are forgotten", "export", dir, "--format", "jsonl", "--device", "press", "--until",
		"2025-11-23T08:45:40Z",
		"-o", file, "--and-forget", "--yes", "--gateway", "press-line")
	data, err := os.ReadFile(file)
	if err != nil || bytes.Count(data, []byte("\n")) != 20 || bytes.Contains(data, []byte("boiler")) {
		t.Errorf("export: %v %.300s", err, data)
	}
	want("80 batches of 160 readings wait", "inspect", dir)
	want("forgotten", "inspect", dir)
	nothing := filepath.Join(t.TempDir(), "nothing.csv")
	for want, args := range map[string][]string{
		"this drops 80 batches of 160 readings for good": {"purge", dir},
		"nothing of device \"nosuch\" waits in " +
			dir: {"export", dir, "--gateway", "g", "--device", "nosuch", "-o", nothing},
		"nothing of that time waits in " + dir: {"export", dir, "--gateway", "g", "--until", "2001-01-01", "-o", nothing},
		"nothing of device \"press\" and of that time waits": {"export", dir, "--gateway", "g", "--device", "press",
			"--until",
			"2001-01-01"},
	} {
		if code, _, stderr := call(t, append([]string{"queue"}, args...)...); code != exitFailed ||
			!strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	if _, err := os.Stat(nothing); err == nil {
		t.Error("an export of nothing left a file")
	}
	want("80 batches of 160 readings dropped", "purge", dir, "--yes")
	want("there is nothing to drop in "+dir, "purge", dir)
	want("0 batches of 0 readings wait", "inspect", dir)
	want("0 batches of 0 readings queued again", "dead", "retry", dir)
	for _, args := range [][]string{{"queue"}, {"queue", "eat"}, {"queue", "inspect", "/no/such"},
		{"queue", "export", dir, "--and-forget"},
		{"queue", "export", dir, "--since", "soon"}} {
		if code, _, _ := call(t, args...); code != exitUsage {
			t.Errorf("%v: exit %d", args, code)
		}
	}
	for _, args := range [][]string{{"queue", "inspect", t.TempDir() + "/../nothing"},
		{"queue", "export", dir, "--format", "xml"}} {
		if code, _, _ := call(t, args...); code == exitDone {
			t.Errorf("%v: done", args)
		}
	}
}

// TestForgetAfterAnExport: between the export that is on the stick and
// forgetting, the cloud gets some, more is appended, the gateway starts anew.
func TestForgetAfterAnExport(t *testing.T) {
	q, dir := queueWith(t, 100)
	serveQueueOf(t, q, dir)
	at := control.At{}
	at.Store.SetDefaults()
	at.Store.Dir = setting.Path(dir)
	r := control.Queue{Op: control.Export, Format: "jsonl"}
	var file bytes.Buffer
	exported, err := at.Do(t.Context(), r, &file, t.Output())
	if err != nil || strings.Count(file.String(), "\n") != 100 || exported.Run != q.Run() {
		t.Fatalf("%+v, %v: %s", exported, err, &file)
	}
	q.Online()
	entries, err := q.Next(t.Context(), bridge.Backlog, 30)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries[:20] {
		q.Ack(e.Position)
	}
	for range 10 {
		q.Append(entries[0].Batch, nil)
	}
	if err := q.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Op, r.Exported = control.Forget, exported
	forget := func() (n bridge.Count, err error) {
		var answer bytes.Buffer
		if _, err = at.Do(t.Context(), r, &answer, t.Output()); err == nil {
			err = json.Unmarshal(answer.Bytes(), &n)
		}
		return n, err
	}
	if n, err := forget(); err != nil || n.Batches != 70 {
		t.Errorf("%+v forgotten, %v; 70 were exported and not sent", n, err)
	}
	if l := q.Ledger(); l.Waiting.Batches != 20 || l.Dropped.Batches != 70 || l.Acked.Batches != 20 {
		t.Errorf("ledger: %+v", l)
	}
	for _, run := range []string{"another", ""} { // of a gateway before, of a stopped one
		r.Exported.Run = run
		if _, err := forget(); err == nil || !strings.Contains(err.Error(), "export once more") {
			t.Errorf("forgetting what run %q exported: %v", run, err)
		}
	}
	if l := q.Ledger(); l.Waiting.Batches != 20 {
		t.Errorf("ledger: %+v", l)
	}
}

// TestPurgeNamesWhose: before it drops anything `purge` says who measured it, of what waits
// and of dead letters.
func TestPurgeNamesWhose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	measure := func(gateway string, n, dead int) {
		t.Helper()
		var c terms.Config
		c.SetDefaults()
		c.Dir, c.Origin = setting.Path(dir), bridge.Origin{Gateway: gateway}
		q, err := store.Open(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			q.Append(bridge.Batch{Device: "boiler", At: time.UnixMilli(1763887500000 + int64(i)*1000),
				Readings: []bridge.Reading{{Point: "a", Value: bridge.Int(int64(i))}}}, nil)
		}
		entries, err := q.Next(t.Context(), bridge.Fresh, dead)
		if err != nil || len(entries) != dead {
			t.Fatalf("%d entries: %v", len(entries), err)
		}
		for _, e := range entries {
			q.Bury("refused", e.Position)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	asks := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := call(t, append([]string{"queue"}, append(args, dir)...)...)
		if code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	measure("press-line-2", 10, 3)
	asks("drops 7 batches of 7 readings for good, which press-line-2 measured, and there", "purge")
	asks("drops 3 batches of 3 readings for good, which press-line-2 measured, and there", "dead", "purge")
	measure("press-line-9", 5, 1)
	asks("drops 11 batches of 11 readings for good, which press-line-2, then press-line-9 measured, and", "purge")
	asks("drops 4 batches of 4 readings for good, which press-line-2, then press-line-9 measured, and", "dead", "purge")
}
