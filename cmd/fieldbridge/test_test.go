package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/southbound/modbus/modbustest"
)

// testFile writes a configuration whose certificates do not exist: of a unit of
// sim, of one that does not answer, and of sensors at a broker.
func testFile(t *testing.T, modbus, broker string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
gateway: cabinet
northbound: {awsiot: {endpoint: "127.0.0.1:1", certificate: none.pem, private_key: none.key, topic: t}}
southbound:
  modbus:
    buses:
      plc: {url: "tcp://%s", timeout: 4s, retries: 0}
    devices:
      boiler:
        bus: plc
        on_connect: [{holding: 0x600, value: 6868}]
        points:
          supply_temp: {holding: 6, type: float32, unit: "°C"}
          lost: {holding: 900}
          alive: {holding: 20, keep: {value: 1, every: 500ms}}
          setpoint: {holding: 21, writable: true, poll: false}
      dead: {bus: plc, unit_id: 9, points: {x: {holding: 0}}}
  mqtt:
    brokers: {local: {listen: "%s"}}
    sensors:
      hall: {broker: local, topic: "hall/{device}/temperature", point: temperature, unit: "°C"}
      gate: {broker: local, topic: "gate/{device}", point: open}
`, modbus, broker), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTest: all that a file names is read once, without its certificates and
// without a queue, what is wrong is told beside what is right, and nothing is
// written to a device.
func TestTest(t *testing.T) {
	need(t, "mosquitto_pub")
	t.Parallel()
	sim, log := modbustest.New(), &writeLog{}
	unit := sim.Unit(1)
	unit.Only(modbustest.Holding, 0, 100)
	unit.Set(modbustest.Holding, 6, 0x428f, 0x0000)
	unit.Always(log.note)
	broker := needtest.Address(t)
	file := testFile(t, sim.Start(t), broker)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// A sensor that waits until its message is safe: it must not be told so here.
	host, port, _ := strings.Cut(broker, ":")
	published := make(chan string, 2)
	for topic, payload := range map[string]string{"hall/north/temperature": "19.5", "garden/rain": "3"} {
		cmd := exec.CommandContext(ctx, "sh", "-c", `while ! mosquitto_pub -V 311 -h "$0" -p "$1" -t "$2" -m "$3" -q 1; do `+
			`sleep 0.1; done`, host, port, topic, payload)
		go func() {
			if cmd.Run() == nil {
				published <- topic
			}
		}()
	}
	begin := time.Now()
	code, stdout, stderr := call(t, "test", file, "--listen", "8s")
	if code != exitFailed || time.Since(begin) < 8*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(begin))
	}
	for _, want := range []string{
		"boiler: unit 1 on tcp://", "supply_temp  71.5              °C  holding 6   428f 0000 = 71.5\n",
		"lost         bad: exception_2      holding 900\n", "manuals often count from 1",
		"not polled, so not read here: setpoint\n",
		"dead: unit 9 on tcp://", "no answer in time: check unit_id",
		"north  temperature  19.5  °C", "no message came for: gate\n", "no rule takes these topics", "garden/rain  3\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if want := "1 of 2 devices are not read; 1 of 3 points are bad"; !strings.Contains(stderr, want) {
		t.Errorf("stderr has no %q", want)
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	}
	if topic := <-published; topic != "garden/rain" || len(published) > 0 {
		t.Errorf("%s was acknowledged, and nobody keeps it", topic)
	}
	if got, _ := log.since(begin); got != nil {
		t.Errorf("it wrote %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); !slices.Equal(left, []string{file}) {
		t.Errorf("it left %v", left)
	}
}

// TestTestThroughTheGateway: where the gateway of the file runs it is asked, and for
// programs there is JSON.
func TestTestThroughTheGateway(t *testing.T) {
	t.Parallel()
	sim := modbustest.New()
	sim.MaxConns = 1 // who comes beside the gateway gets no answer
	unit := sim.Unit(1)
	unit.Set(modbustest.Holding, 6, 0x428f, 0x0000)
	unit.Set(modbustest.Holding, 900, 5)
	sim.Unit(9).Set(modbustest.Holding, 0, 5)
	address := sim.Start(t)
	file := testFile(t, address, needtest.Address(t))
	gateway := startGateway(t, file, new(output))
	eventually(t, "it polls", 10*time.Second, func() bool { return goodPoints(gateway.Status()) == 4 })
	code, stdout, stderr := call(t, "test", file, "--json")
	var all struct {
		Running bool `json:"gateway_runs"`
		OK      bool
		Devices []struct {
			Device string
			Points []struct {
				Point string
				Value any
			}
		}
		Sensors struct {
			Silent []string `json:"silent_rules"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if code != exitDone || !all.Running || !all.OK || len(all.Devices) != 2 || len(all.Devices[0].Points) != 3 ||
		!slices.Equal(all.Sensors.Silent, []string{"hall", "gate"}) {
		t.Errorf("exit code %d, %+v\n%s", code, all, stderr)
	}

	// Whose file lies elsewhere, or who has none, asks through it, too.
	url := "tcp://" + address
	copied := filepath.Join(t.TempDir(), "copy.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(copied, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"test", copied, "--listen", "0"},
		{"modbus", "read", url, "holding:6", "--type", "float32"},
		{"modbus", "scan", url, "--units", "1"},
		{"init", filepath.Join(t.TempDir(), "new.yaml"), "--gateway", "g", "--modbus", url, "--scan", "1"},
	} {
		code, stdout, stderr := call(t, args...)
		if code != exitDone || !strings.Contains(stderr, "asked through the gateway that holds it") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	code, _, stderr = call(t, "modbus", "read", url, "holding:0", "--unit", "5")
	if code != exitFailed || !strings.Contains(stderr, "no answer in time: check --unit") {
		t.Errorf("a unit that is not there: exit code %d: %s", code, stderr)
	}
}

// TestTestOfMistakes: what keeps a test from reading is told as `check` tells it.
func TestTestOfMistakes(t *testing.T) {
	file := testFile(t, "127.0.0.1:1", "127.0.0.1:0")
	code, stdout, stderr := call(t, "test", file, "--listen", "0")
	if code != exitFailed || strings.Count(stdout, "refused") != 2 || strings.Contains(stdout, "sensors") ||
		!strings.Contains(stderr, "2 of 2 devices are not read") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, args := range [][]string{{"test"}, {"test", "nosuch.yaml"}, {"test", file, "--gateway", "other"}} {
		if code, _, stderr := call(t, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

// TestWithoutCloud: who looks at the field needs no northbound, not a whole one, and
// none of a fleet; other mistakes are told.
func TestWithoutCloud(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 731)
	south := "\nsouthbound: {modbus: {devices: {boiler: {url: \"tcp://" + sim.Start(t) +
		"\", points: {level: {holding: 0}}}}}}\n"
	fleet := "fleet: works\ndefaults:" + strings.ReplaceAll(south, "\n", "\n  ") + "\ngateways: {cabinet: {}}"
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	for content, want := range map[string]struct {
		code   int
		output string
	}{
		"gateway: cabinet" + south: {exitDone, "731"},
		"gateway: cabinet\nnorthbound: {awsiot: {endpoint: a1b2}}" + south: {exitDone, "731"},
		"gateway: cabinet\nnorthbond: {}" + south:                          {exitUsage, `"northbond"`},
		"gateway: cabinet\nnorthbound: {awsiot: {endpiont: a1b2}}" + south: {exitUsage, `"endpiont"`},
		fleet: {exitDone, "731"},
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"test", file}, {"modbus", "read", file, "boiler.level"}} {
			code, stdout, stderr := call(t, append(args, "--gateway", "cabinet")...)
			if code != want.code || !strings.Contains(stdout+stderr, want.output) {
				t.Errorf("%s of %s: exit %d\n%s%s", args[0], content, code, stdout, stderr)
			}
		}
		if code, _, stderr := call(t, "check", file, "--gateway", "cabinet"); code != exitUsage ||
			!strings.Contains(stderr, "north") && !strings.Contains(stderr, "endp") {
			t.Errorf("check of %s: exit %d\n%s", content, code, stderr)
		}
	}
}
