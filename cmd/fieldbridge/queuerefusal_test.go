package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/store/folder"
)

// refused runs 'fieldbridge queue' with args, which must fail and say why.
func refused(t *testing.T, why string, args ...string) {
	t.Helper()
	code, stdout, stderr := call(t, append([]string{"queue"}, args...)...)
	if code == exitDone || !strings.Contains(stderr, why) {
		t.Errorf("%v: exit %d, want %q\nstdout %.300s\nstderr %.500s", args, code, why, stdout, stderr)
	}
}

func TestQueueRefuses(t *testing.T) {
	q, dir := queueWith(t, 10)
	refused(t, "does not answer: if that gateway is starting or stopping", "inspect", dir)
	q.Close()
	for _, op := range [][]string{{"purge"},
		{"export", "-o", filepath.Join(t.TempDir(), "x"), "--and-forget"}} {
		refused(t, "no terminal to ask at: add --yes", append(op, dir)...)
	}
	refused(t, "add --gateway NAME", "export", dir)

	foreign := t.TempDir()
	for _, op := range []string{"inspect", "verify", "purge"} {
		refused(t, "there is no queue in "+foreign, op, foreign)
	}
	if files, err := os.ReadDir(foreign); err != nil || len(files) > 0 {
		t.Errorf("files were left in a folder that is not a queue: %v %v", files, err)
	}

	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "is there already", "export", dir, "--gateway", "g", "-o", there)
	if data, err := os.ReadFile(there); err != nil || string(data) != "precious" {
		t.Errorf("an export has overwritten a file: %q %v", data, err)
	}
	refused(t, "no such file", "export", dir, "--gateway", "g", "-o", filepath.Join(dir, "no", "such"))
}

// An export that fails leaves neither a file that looks complete nor drops
// anything.
func TestQueueExportFails(t *testing.T) {
	q, dir := queueWith(t, 10)
	q.Close()
	out := filepath.Join(t.TempDir(), "out")
	refused(t, `format "xml" is not known`, "export", dir, "--gateway", "g", "--format", "xml", "-o", out, "--and-forget",
		"--yes")
	if files, err := filepath.Glob(out + "*"); err != nil || len(files) > 0 {
		t.Errorf("left: %v %v", files, err)
	}
	if code, stdout, _ := call(t, "queue", "inspect", dir); code != exitDone ||
		!strings.Contains(stdout, "10 batches of 20 readings wait") {
		t.Errorf("exit %d: %s", code, stdout)
	}
}

func TestQueueVerifyDamaged(t *testing.T) {
	q, dir := queueWith(t, 2000)
	q.Close()
	segments, err := filepath.Glob(filepath.Join(dir, "seg-*.db"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%v %v", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("boiler"))
	if at < 0 {
		at = bytes.Index(data, []byte{0x28, 0xb5, 0x2f, 0xfd}) + 40 // within the zstd frame
	}
	data[at] ^= 0xff
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, asJSON := range []bool{false, true} {
		code, stdout, stderr := call(t, "queue", "verify", dir, fmt.Sprintf("--json=%v", asJSON))
		if code != exitFailed || !strings.Contains(stdout, filepath.Base(segments[0])) ||
			!strings.Contains(stdout, "damage") {
			t.Errorf("exit %d: %s%s", code, stdout, stderr)
		}
	}
}

// A change on a stopped gateway's folder drops nothing but what it is asked to:
// the limits of the configuration are the gateway's business.
func TestQueueChangeKeepsTheRest(t *testing.T) {
	q, dir := queueWith(t, 100)
	if err := q.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.Online()
	entries, err := q.Next(t.Context(), bridge.Backlog, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		q.Bury("payload too large", e.Position)
	}
	q.Close()
	at := control.At{Gateway: "g", Limits: true}
	at.Store.SetDefaults()
	at.Store.Dir, at.Store.MinFree = setting.Path(dir), 1<<60
	do := func(op control.Op, answer any) {
		t.Helper()
		var out bytes.Buffer
		if _, err := at.Do(context.Background(), control.Queue{Op: op, Limit: 3}, &out, t.Output()); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Bytes(), answer); err != nil {
			t.Fatalf("%s: %v: %s", op, err, &out)
		}
	}
	var list control.DeadLetters
	do("dead-list", &list)
	if len(list.Letters) != 3 || list.Total.Batches != uint64(len(entries)) ||
		list.Letters[0].Cause != "payload too large" {
		t.Errorf("%d dead letters of %d: %+v", len(list.Letters), len(entries), list)
	}
	var n bridge.Count
	do("dead-retry", &n)
	var r folder.Report
	do("inspect", &r)
	if n.Batches != uint64(len(entries)) || r.Waiting.Batches != 100 || r.Dead.Batches != 0 ||
		len(r.Tombstones) != 2 || r.Tombstones[0].Cause != "dead" || r.Tombstones[1].Cause != "retried" ||
		r.Tombstones[1].Count != n {
		t.Errorf("%d retried, then %+v", n.Batches, r)
	}
}

func TestQueueReportForPeople(t *testing.T) {
	day := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	count := func(batches, readings uint64) bridge.Count { return bridge.Count{Batches: batches, Readings: readings} }
	var out bytes.Buffer
	tell.Queue(&out, folder.Report{Dir: "/var/lib/fieldbridge/queue", Waiting: count(123456, 2469120), Dead: count(3, 60),
		Bytes: 9 << 20, MaxSize: 1 << 30,
		BytesPerReading: 3.456, FullIn: 77*time.Hour + 12*time.Minute,
		Segments: []folder.SegmentInfo{
			{File: "seg-0000000000000001.db", First: 1, Last: 100000, Written: count(100000, 2000000),
				Waiting: count(90000, 1800000), Bytes: 7 << 20,
				Oldest: day, Newest: day.Add(5 * time.Hour), Age: 90 * time.Minute},
			{File: "seg-00000000000186a1.db", Damage: "it has no blocks"},
		},
		Tombstones: []bridge.Tombstone{{Run: "3k7q9x2m", First: 7, Last: 9, Count: count(3, 60), Cause: "purged"},
			{Run: "c0ffee00", First: 12, Count: count(1, 2), Cause: "damaged"}}})
	tell.Queue(&out, folder.Report{Dir: "queue"})
	tell.Dead(&out, &out, control.DeadLetters{Total: count(2, 3),
		Letters: []control.DeadLetter{{Run: "3k7q9x2m", Seq: 7, Device: "boiler", At: day, Readings: 2,
			Cause: "PUBACK 0x99"}}})
	golden(t, "queue.out", out.String())
}

// A folder that a newer program wrote is refused and left alone.
func TestQueueOfANewerFormat(t *testing.T) {
	q, dir := queueWith(t, 10)
	q.Close()
	path := filepath.Join(dir, "meta")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(`{"format"`)) // before it stand a magic and the checksum
	if at < 4 {
		t.Fatalf("no format in %q", data)
	}
	value := bytes.Replace(data[at:], []byte(`"format":2,`), []byte(`"format":3,`), 1)
	newer := append(binary.LittleEndian.AppendUint32(slices.Clone(data[:at-4]),
		crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli))), value...)
	if bytes.Equal(newer, data) {
		t.Fatalf("no format in %q", data)
	}
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"inspect", "verify", "purge"} {
		refused(t, "its format is version 3, this program knows 2", op, dir)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, newer) {
		t.Errorf("it was changed: %v", err)
	}
}

func TestExportBar(t *testing.T) {
	var data, screen bytes.Buffer
	p := &exportBar{w: &data, stderr: &screen, total: 4}
	io.WriteString(p, "a\nb\n")
	if !strings.Contains(screen.String(), "[====================                    ]  50 %") {
		t.Errorf("screen %q", &screen)
	}
	p.drawn = time.Time{}
	io.WriteString(p, "c\nd\ne\n") // more than was expected: readings went on coming
	if !strings.Contains(screen.String(), "100 %") || data.String() != "a\nb\nc\nd\ne\n" || p.lines != 5 {
		t.Errorf("screen %q, data %q, %d lines", &screen, &data, p.lines)
	}
	p.end()
	if !strings.HasSuffix(screen.String(), " \r") {
		t.Errorf("the bar is left on the screen: %q", &screen)
	}
	screen.Reset()
	quiet := &exportBar{w: &data, stderr: &screen} // no terminal
	io.WriteString(quiet, "a\n")
	if quiet.end(); screen.Len() > 0 {
		t.Errorf("%q without a terminal", &screen)
	}
}

// The index of the queue is damaged: only its gateway may repair that.
func TestQueueIndexDamaged(t *testing.T) {
	q, dir := queueWith(t, 10)
	q.Close()
	if err := os.WriteFile(filepath.Join(dir, "meta"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"inspect", "verify"} {
		refused(t, "the index of the queue in "+dir+" is damaged", op, dir)
	}
}
