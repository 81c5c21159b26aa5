package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/configs"
)

func TestInit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "g.yaml")
	run := func(want int, answers string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := dispatch(t.Context(), append([]string{"init"}, args...), strings.NewReader(answers), &stdout,
			&stderr); code != want {
			t.Fatalf("init %v: exit code %d, want %d: %s", args, code, want, stderr.String())
		}
		return stderr.String()
	}
	run(exitDone, "", file, "--gateway", "g-1", "--endpoint", "x.example", "--modbus", "10.0.0.9:1502")
	l, err := configs.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if c := l.Config; c.Gateway != "g-1" || c.Northbound.AWSIoT.Endpoint != "x.example" ||
		c.Southbound.Modbus.Buses["plc"].URL != "tcp://10.0.0.9:1502" || len(c.Southbound.MQTT.Sensors) != 0 {
		t.Errorf("%+v", c)
	}
	if text := run(exitFailed, "", file, "--gateway", "g-2"); !strings.Contains(text, "is there already") {
		t.Error(text)
	}
	run(exitDone, "g-3\ny.example\n\nyes\n", file, "--force")
	if l, err = configs.Load(t.Context(), file); err != nil || l.Config.Gateway != "g-3" {
		t.Fatal(err, l)
	}
	if c := l.Config; c.Northbound.AWSIoT.Endpoint != "y.example" || len(c.Southbound.Modbus.Devices) != 0 ||
		len(c.Southbound.MQTT.Sensors) != 1 {
		t.Errorf("%+v", c)
	}
	if text := run(exitUsage, "", file, "--force", "--gateway",
		"a b"); !strings.Contains(text, "which AWS does not allow") {
		t.Error(text)
	}
	run(exitDone, "", file, "--force") // nothing given: proposals
	if l, err = configs.Load(t.Context(), file); err != nil || len(l.Warnings) != 2 ||
		!strings.Contains(l.Warnings[0].Text, "endpoint of an example") {
		t.Error(err, l)
	}
}
