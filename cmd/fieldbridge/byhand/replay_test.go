package byhand

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/blackbox"
)

// recording returns a file of one recording with a request, and one answer.
func recording(t *testing.T, bus, fault string) string {
	t.Helper()
	r := blackbox.New()
	tape := r.Tape("bus "+bus, "tcp://10.0.0.5:502")
	tape.Add(blackbox.Sent, 0, []byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 7, 0, 1}, 12)
	tape.Add(blackbox.Received, 0, []byte{0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 42}, 11)
	one := r.Recordings()[0]
	one.Fault = fault
	var text bytes.Buffer
	if err := one.Write(&text, func([]byte, int) string { return "" }); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestReplayChooses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, text := range map[string]string{"README.txt": "x", "frames/bus-a.jsonl": recording(t, "a", ""),
		"frames/bus-b.jsonl": recording(t, "b", ""), "frames/bus-b.fault.1.jsonl": recording(t, "b", "device_down")} {
		m, err := z.Create(name)
		if err == nil {
			_, err = m.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	support, one := write("s.zip", packed.String()), write("a.jsonl", recording(t, "a", ""))
	for _, tt := range []struct {
		r                Replay
		tape, fault, err string
	}{
		{r: Replay{File: one}, tape: "bus a"},
		{r: Replay{File: support, Bus: "b"}, tape: "bus b", fault: "device_down"},
		{r: Replay{File: support}, err: "has recordings of a, b: choose one with --bus"},
		{r: Replay{File: support, Bus: "c"}, err: `has no recording of bus "c", but of a, b`},
		{r: Replay{File: write("x", "text")}, err: "line 1 is not of a recording"},
		{r: Replay{File: write("empty", "")}, err: "has no recording of a bus"},
		{r: Replay{File: filepath.Join(dir, "nofile")}, err: "no such file"},
	} {
		got, err := tt.r.choose()
		if tt.err == "" && (err != nil || got.Tape != tt.tape || got.Fault != tt.fault) ||
			tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%+v: %q %q, %v", tt.r, got.Tape, got.Fault, err)
		}
	}
}

// gate is a writer that gives what was written.
type gate chan string

func (g gate) Write(b []byte) (int, error) { g <- string(b); return len(b), nil }

// The command's device answers a read by hand.
func TestReplayPlays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(file, []byte(recording(t, "plc", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(gate, 10), make(chan error)
	go func() { ended <- Replay{File: file, Listen: "127.0.0.1:0"}.Run(ctx, told) }()
	text := <-told
	for !strings.Contains(text, "Ctrl-C") {
		text += <-told
	}
	_, url, _ := strings.Cut(text, "write url: ")
	url, _, _ = strings.Cut(url, " ")
	var data, people bytes.Buffer
	d := Desk{Unit: 1, Timeout: 10 * time.Second, Data: &data, People: &people}
	d.Bus.SetDefaults()
	if err := d.Raw(t.Context(), url, "0300070001"); err != nil || !strings.Contains(data.String(), "03 02 00 2a") {
		t.Errorf("%v, %s", err, data.String())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
