package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
)

// onTerminal runs a command whose stdout and stderr are a terminal, and returns what
// is seen there.
func onTerminal(t *testing.T, args ...string) (code int, seen string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Close() }()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	var all []byte
	read.Go(func() {
		var err error
		if all, err = io.ReadAll(master); !errors.Is(err, syscall.EIO) { // the end of a terminal
			t.Error(err)
		}
	})
	code = dispatch(t.Context(), args, strings.NewReader(""), slave, slave)
	if err := slave.Close(); err != nil {
		t.Error(err)
	}
	read.Wait()
	return code, strings.ReplaceAll(string(all), "\r\n", "\n")
}

// toPaint serves a gateway with all that is wrong, and returns its queue.
func toPaint(t *testing.T) string {
	t.Helper()
	now := time.Now()
	status := control.Status{Gateway: "press-line-2", Now: now, Started: now.Add(-time.Hour),
		Devices: []bridge.DeviceStatus{{Device: "boiler", Via: "modbus plc unit 1", Good: 1, Bad: 1, Reason: "timeout"}},
		Buses:   []bridge.BusStatus{{Bus: "plc", Down: now}, {Bus: "yard"}},
		Conditions: []condition.Condition{condition.TopicDenied.At("uplink", now, "plant"),
			condition.CommandsOff.At("commands", now)}}
	values := control.Values{Device: "boiler", Now: now, Points: []control.Value{
		{Point: "supply_temp", Text: "71.5", Unit: "°C", At: now}, {Point: "pressure", Bad: "timeout", At: now}}}
	mux := http.NewServeMux()
	serve := func(path string, v any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		})
	}
	serve("/status", status)
	serve("/devices/boiler", values)
	dir := t.TempDir()
	l, err := control.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() { console.ServeOn(ctx, l, mux) })
	t.Cleanup(func() { cancel(); served.Wait() })
	return dir
}

// What is wrong is coloured on a terminal, and nowhere else.
func TestColour(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	dir := toPaint(t)
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("gateway: press-line-2\nnothrbound: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	silent := byHandFile(t, "127.0.0.1:1") // refused
	const red, yellow, end = "\x1b[31m", "\x1b[33m", "\x1b[0m"
	for _, tt := range []struct {
		args string
		code int
		want []string
	}{
		{"status " + dir, exitDone, []string{red + "alarm   " + end + " uplink: ",
			yellow + "warning " + end + " commands: ", red + "1 bad: timeout" + end, red + "down" + end + "      0 requests"}},
		{"values " + dir, exitDone, []string{"supply_temp  71.5          °C  ",
			"pressure     " + red + "bad: timeout" + end + "      "}},
		{"check " + wrong, exitUsage, []string{red + wrong + ":2:1" + end + `: unknown key "nothrbound"`, red + "^" + end}},
		{"check " + silent, exitDone, []string{yellow + "warning: " + end}},
		{"test " + silent, exitFailed, []string{"\n  " + red + "read hall.boiler coil 3+1: connect"}},
	} {
		args := strings.Fields(tt.args)
		code, seen := onTerminal(t, args...)
		for _, want := range tt.want {
			if code != tt.code || !strings.Contains(seen, want) {
				t.Errorf("%s: exit %d, no %q in\n%q", tt.args, code, want, seen)
			}
		}
		if _, plain := onTerminal(t, append(args, "--json")...); strings.Contains(plain, "\x1b[") {
			t.Errorf("%s --json: %q", tt.args, plain)
		}
		if _, stdout, stderr := call(t, args...); strings.Contains(stdout+stderr, "\x1b[") {
			t.Errorf("%s, in a pipe: %q", tt.args, stdout+stderr)
		}
		for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
			t.Run(name, func(t *testing.T) {
				t.Setenv(name, value)
				if _, plain := onTerminal(t, args...); strings.Contains(plain, "\x1b[") {
					t.Errorf("%s: %q", tt.args, plain)
				}
			})
		}
	}
}
