package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/configs"
	"fieldbridge/southbound/modbus/modbustest"
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

// initSim is two units, of which 1 says that it is a meter with a profile.
func initSim(t *testing.T) (address string, log *writeLog) {
	t.Helper()
	sim, log := modbustest.New(), &writeLog{}
	for _, id := range []byte{1, 3} {
		u := sim.Unit(id)
		u.Set(modbustest.Holding, 0, 700+uint16(id))
		u.Always(log.note)
	}
	return sim.Start(t), log
}

// TestInitCommissions: at a terminal init looks at the device, asks again after each
// bad answer, shows what is read and writes what was answered.
func TestInitCommissions(t *testing.T) {
	address, log := initSim(t)
	file := filepath.Join(t.TempDir(), "g.yaml")
	answers := strings.Join([]string{
		"two words", "g-9",
		"https://x.example", "x.example",
		"ftp://x", address,
		"all", "1-3",
		"nosuchmeter", "sdm", "none", "boiler",
		"eastron-sdm120", "boiler", "a b", "pump",
		"maybe", address, "yes",
		"perhaps", "y",
	}, "\n") + "\n"
	var stdout, stderr bytes.Buffer
	if code := dispatch(t.Context(), []string{"init", file}, strings.NewReader(answers), &stdout,
		&stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	text := stderr.String()
	for _, want := range []string{
		`which AWS does not allow in thing names`, "the endpoint \"https://x.example\" has a scheme",
		`"all" are no unit ids`, "unit 1: it has holding 0", "unit 3: it has holding 0", `there is no profile "nosuchmeter"`,
		"meant is one of", "boiler is the name of another unit", `"maybe" is neither yes nor no`,
		`"` + address + `" is neither yes nor no`, "value_1  701", "Write " + file,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
	l, err := configs.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	modbus := l.Config.Southbound.Modbus
	if c := l.Config; c.Gateway != "g-9" || c.Northbound.AWSIoT.Endpoint != "x.example" ||
		len(c.Southbound.MQTT.Sensors) != 1 ||
		modbus.Buses["plc"].URL != "tcp://"+address || len(modbus.Devices) != 2 || modbus.Devices["pump"].UnitID != 3 ||
		len(modbus.Devices["pump"].Points) < 10 || len(modbus.Devices["boiler"].Points) != 1 {
		t.Errorf("%+v", c)
	}
	if got, _ := log.since(time.Time{}); got != nil {
		t.Errorf("it wrote %q", got)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestInitByFlags: what is asked at a terminal can be said by flags.
func TestInitByFlags(t *testing.T) {
	address, _ := initSim(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "g.yaml")
	code, stdout, stderr := call(t, "init", file, "--gateway", "g", "--modbus", address, "--scan", "1-3", "--test")
	if code != exitDone || stdout != file+"\n" || !strings.Contains(stderr, "value_1  703") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if l, err := configs.Load(t.Context(), file); err != nil || len(l.Config.Southbound.Modbus.Devices) != 2 {
		t.Error(err)
	}
	serial := filepath.Join(dir, "serial.yaml")
	code, _, stderr = call(t, "init", serial, "--modbus", "/dev/ttyNONE", "--baud", "19200", "--parity", "none", "--unit",
		"7",
		"--profile", "eastron-sdm630")
	l, err := configs.Load(t.Context(), serial)
	if code != exitDone || err != nil {
		t.Fatalf("exit code %d: %s%v", code, stderr, err)
	}
	line, device := l.Config.Southbound.Modbus.Buses["line"], l.Config.Southbound.Modbus.Devices["device-1"]
	if line.Baud != 19200 || line.Parity != "none" || device.UnitID != 7 || len(device.Points) < 10 {
		t.Errorf("%+v %+v", line, device)
	}
	for args, want := range map[string]int{
		"--modbus ftp://x":                                exitUsage,
		"--modbus " + address + " --scan x":               exitUsage,
		"--modbus " + address + " --profile nosuch":       exitUsage,
		"--modbus " + address + " --find-line":            exitUsage,
		"--modbus " + address + " --scan 5-6":             exitFailed,
		"--modbus /dev/ttyNONE --scan 1":                  exitFailed,
		"--modbus /dev/ttyNONE --parity some":             exitUsage,
		"--modbus 127.0.0.1:1 --scan 1":                   exitFailed,
		"--gateway g --force --endpoint http://x.example": exitUsage,
	} {
		other := filepath.Join(dir, "other.yaml")
		code, _, stderr := call(t, append([]string{"init", other}, strings.Fields(args)...)...)
		if _, err := os.Stat(other); code != want || err == nil {
			t.Errorf("%s: exit code %d, want %d: %s", args, code, want, stderr)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
		t.Errorf("it left %v", left)
	}
}

// TestInitStopped: whoever stops it, at any question, finds no file.
func TestInitStopped(t *testing.T) {
	address, _ := initSim(t)
	dir := t.TempDir()
	for _, answers := range []string{"", "g\n", "g\nx.example\n", "g\nx.example\n" + address + "\n",
		"g\nx.example\n" + address + "\n1-3\n", "g\n\n\nn\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		in, feed := io.Pipe()
		done := make(chan int)
		var stdout, stderr output
		go func() {
			done <- dispatch(ctx, []string{"init", filepath.Join(dir, "g.yaml")}, in, &stdout, &stderr)
		}()
		if _, err := io.WriteString(feed, answers); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it asks on", 10*time.Second, func() bool {
			return strings.Count(stderr.String(), ": ") > strings.Count(answers, "\n") &&
				strings.HasSuffix(stderr.String(), ": ")
		})
		cancel()
		if code := <-done; code != exitFailed || !strings.Contains(stderr.String(), "nothing was written") {
			t.Errorf("%q: exit code %d: %s", answers, code, stderr.String())
		}
		_ = feed.Close()
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
