package support

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/state"
)

// What begins to be wrong freezes the tape that shows it, and is on disk; what
// flaps is put there once in ten minutes.
func TestFaultIsKept(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		saved, err := state.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var list condition.List
		f := &Flight{Recorder: blackbox.New(), Lines: new(blackbox.Lines), Conditions: list.Health, State: saved,
			Devices: func() []bridge.DeviceStatus {
				return []bridge.DeviceStatus{{Device: "boiler", Via: "modbus plc unit 1"}, {Device: "hall", Via: "mqtt local"}}
			}, Log: slog.New(slog.DiscardHandler)}
		fmt.Fprintln(f.Lines, "the last words")
		for _, tape := range []string{"bus plc", "mqtt local", "uplink"} {
			f.Recorder.Tape(tape, "tcp://plc:502").Say(0, "spoken on "+tape)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.Watch(ctx) }()
		synctest.Wait()
		list.Raise(condition.DeviceDown, "device boiler", "no answer: look")
		time.Sleep(lookEvery)
		synctest.Wait()
		text, err := get(saved, "flight.fault.0")
		if err != nil || !strings.Contains(string(text), "spoken on bus plc") ||
			!strings.Contains(string(text), condition.DeviceDown.Code+" of device boiler: no answer") {
			t.Errorf("on disk: %v, %s", err, text)
		}
		for range 20 { // it flaps
			list.Clear(condition.DeviceDown, "device boiler")
			time.Sleep(lookEvery)
			list.Raise(condition.DeviceDown, "device boiler", "again: look")
			time.Sleep(lookEvery)
		}
		synctest.Wait()
		if text, _ := get(saved, "flight.fault.1"); text != nil {
			t.Error("what flaps is written each time")
		}
		time.Sleep(saveEvery)
		synctest.Wait()
		if text, _ := get(saved, "flight.fault.1"); !strings.Contains(string(text), "again") {
			t.Errorf("ten minutes later: %q", text)
		}
		list.Raise(condition.SessionTaken, "identity", "now")
		list.Raise(condition.SensorsRefused, "mqtt local tls", 7)
		list.Raise(condition.QueueOverrun, "queue") // which has no tape
		stop()
		<-ended
		if text, err := get(saved, logKey); string(text) != "the last words\n" {
			t.Errorf("log: %v, %q", err, text)
		}
	})
	// A gateway that is gone is packed from its folder.
	files, missing := packed(t, Options{Dir: dir, Version: "v1"})
	if told := strings.Join(missing, "\n"); strings.Count(told, "none is running there") != 1 ||
		files["log.txt"] != "the last words\n" {
		t.Errorf("missing %v, log %q", missing, files["log.txt"])
	}
	faults := 0
	for name, text := range files {
		if strings.HasPrefix(name, "frames/bus-plc.fault.") && strings.Contains(text, "spoken on bus plc") {
			faults++
		}
	}
	if faults != 2 {
		t.Errorf("%d faults, want 2: %v", faults, files)
	}
}

func TestTapeOf(t *testing.T) {
	f := &Flight{Devices: func() []bridge.DeviceStatus {
		return []bridge.DeviceStatus{{Device: "boiler", Via: "modbus plc unit 1"}, {Device: "hall", Via: "mqtt local"}}
	}}
	for subject, want := range map[string]string{
		"bus plc": "bus plc", "uplink": "uplink", "identity": "uplink", "topic a/b": "uplink", "mqtt local tls": "mqtt local",
		"mqtt local": "mqtt local", "device boiler": "bus plc", "device hall": "mqtt local", "queue": "queue",
		"device nobody": "device nobody",
	} {
		if got := f.tapeOf(subject); got != want {
			t.Errorf("%s: %q, want %q", subject, got, want)
		}
	}
}

// No part shows what the configuration hides.
func TestPackHides(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SUPPORT_SECRET", "hunter2hunter2")
	file := filepath.Join(dir, "gw.yaml")
	err := os.WriteFile(file, []byte(`gateway: a
southbound:
  modbus:
    buses: {plc: {url: "tcp://127.0.0.1:1"}}
    devices:
      d: {bus: plc, unit_id: 1, points: {x: {holding: 0, unit: "${env:SUPPORT_SECRET}"}}}
northbound:
  awsiot: {endpoint: "a-ats.iot.eu-central-1.amazonaws.com", certificate: c.pem, private_key: k.pem, ca: r.pem,
    topic: t}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := state.Open(filepath.Join(dir, "queue"))
	if err != nil {
		t.Fatal(err)
	}
	(&Flight{State: saved}).put(logKey, []byte("the secret is hunter2hunter2\n"))
	if err := saved.Close(); err != nil {
		t.Fatal(err)
	}
	files, missing := packed(t, Options{File: file, Dir: filepath.Join(dir, "queue"), Version: "v1"})
	for name, text := range files {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if files["config.yaml"] == "" || !strings.Contains(files["log.txt"], "the secret is ${env:SUPPORT_SECRET}") ||
		!strings.Contains(files["versions.json"], `"v1"`) || files["folder.txt"] == "" {
		t.Errorf("missing %v, have %v", missing, files)
	}
}

// packed packs, and returns what is in the file.
func packed(t *testing.T, o Options) (files map[string]string, missing []string) {
	t.Helper()
	var file bytes.Buffer
	missing, err := Pack(t.Context(), &file, o)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files = make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || files[f.Name] != "" {
			t.Fatalf("%s: %v, or it is there twice", f.Name, err)
		}
		files[f.Name] = string(text)
	}
	return files, missing
}

// The pages show what is recorded, and hide what is hidden.
func TestPages(t *testing.T) {
	f := &Flight{Recorder: blackbox.New(), Lines: new(blackbox.Lines)}
	f.Recorder.Tape("bus plc", "rtu:///dev/ttyS0").Add(blackbox.Sent, 0, []byte{1, 3, 0, 0, 0, 1, 0x84, 0x0a}, 8)
	f.Recorder.Tape("uplink", "a").Say(0, "SECRET")
	fmt.Fprintln(f.Lines, "a line")
	mux := http.NewServeMux()
	f.Handle(mux, func(text string) string { return strings.ReplaceAll(text, "SECRET", "***") })
	for page, want := range map[string]string{framesPage: "unit 1, read holding registers 0, 1", logPage: "a line\n"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", page, nil))
		if text := w.Body.String(); !strings.Contains(text, want) || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %s", page, text)
		}
	}
}
