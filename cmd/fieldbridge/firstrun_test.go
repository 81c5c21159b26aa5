package main

import (
	"maps"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFirstRun runs the acceptance configuration between real peers: every
// value must arrive right.
func TestFirstRun(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := newSite(t)
	gateway := s.startGateway()
	eventually(t, "the gateway's broker listens", 10*time.Second, listening("127.0.0.1:1883"))

	publish := func(args ...string) {
		t.Helper()
		args = append([]string{"-h", "127.0.0.1"}, args...)
		if out, err := exec.Command("mosquitto_pub", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_pub %v: %v: %s", args, err, out)
		}
	}
	publish("-q", "1", "-t", "hall/north/temperature", "-m", "19.5")
	publish("-q", "0", "-V", "mqttv5", "-t", "hall/south/temperature", "-m", "-4")
	publish("-q", "2", "-V", "mqttv5", "-t", "hall/east/temperature", "-m", "7")
	publish("-q", "1", "-t", "zigbee2mqtt/sensor-7", "-m", `{"temperature":21.25,"battery":97,"linkquality":120}`)
	publish("-q", "1", "-t", "zigbee2mqtt/broken", "-m", `{"temperature":`)
	publish("-q", "1", "-t", "nobody/asked", "-m", "1")

	want := map[string]map[string]string{
		"boiler": {"supply_temp": "71.5", "return_temp": "48.2", "energy": "12345.67", "running": "true",
			"door_open": "true", "fault": "true"},
		"north":    {"temperature": "19.5"},
		"south":    {"temperature": "-4"},
		"east":     {"temperature": "7"},
		"sensor-7": {"temperature": "21.25", "battery": "97"},
	}
	got := func() map[string]map[string]string {
		batches := s.received()
		m := make(map[string]map[string]string)
		for device := range want {
			m[device] = latest(batches, device)
		}
		return m
	}
	deadline := time.Now().Add(busy * 20 * time.Second)
	for !maps.EqualFunc(want, got(), func(a, b map[string]string) bool { return maps.Equal(a, b) }) &&
		time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Fatalf("at the cloud (-want +got):\n%s", diff)
	}
	s.statusTells(t)
	s.valuesTell(t)

	// The catalogue follows the birth after a pause in which devices that
	// have just appeared gather; a stop would cut it off.
	eventually(t, "the birth and the catalogue arrive", 10*time.Second, func() bool {
		out := s.sub.out.String()
		return strings.Contains(out, `"type":"online"`) && strings.Contains(out, `"type":"catalog"`)
	})

	m := scrape()
	if !ledgerHolds(m) {
		t.Errorf("ledger does not balance: %v", m)
	}
	gateway.signal(syscall.SIGTERM, 5*time.Second)
	if code := gateway.cmd.ProcessState.ExitCode(); code != exitDone {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	// A clean stop says goodbye itself; the last will must not be sent.
	eventually(t, "the goodbye arrives", 5*time.Second, func() bool {
		return strings.Contains(s.sub.out.String(), `"type":"offline"`)
	})
}

// statusTells checks what a person is told.
func (s *site) statusTells(t *testing.T) {
	t.Helper()
	out, err := exec.Command(s.bin, "status", s.dir+"/first-run.yaml").CombinedOutput()
	if err != nil {
		t.Fatalf("status: %v: %s", err, out)
	}
	for _, want := range []string{"press-line-2", "connected to 127.0.0.1:8883", "boiler", "6 good", "sensor-7",
		"0 late cycles"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("status does not say %q:\n%s", want, out)
		}
	}
}

// valuesTell checks what a person is told of a device's readings.
func (s *site) valuesTell(t *testing.T) {
	t.Helper()
	out, err := exec.Command(s.bin, "values", "boiler", s.dir+"/first-run.yaml").CombinedOutput()
	if err != nil {
		t.Fatalf("values: %v: %s", err, out)
	}
	for _, want := range []string{"supply_temp  71.5", "energy       12345.67", "door_open    true"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("values does not say %q:\n%s", want, out)
		}
	}
	out, err = exec.Command(s.bin, "values", "boiler", "--raw", s.dir+"/first-run.yaml").CombinedOutput()
	if err != nil || !strings.Contains(string(out), " ago  00") && !strings.Contains(string(out), " = ") {
		t.Errorf("values --raw shows no registers: %v: %s", err, out)
	}
	out, err = exec.Command(s.bin, "values", "bioler", s.dir+"/first-run.yaml").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "there is no device bioler") {
		t.Errorf("values of no device: %v: %s", err, out)
	}
}

// ledgerHolds checks the promise in a scrape, in readings and in batches.
func ledgerHolds(m map[string]float64) bool {
	for _, unit := range []string{"readings", "batches"} {
		n := func(name string) float64 { return m["fieldbridge_queue_"+name] }
		in := n("accepted_"+unit+"_total") + n("restored_"+unit+"_total")
		out := n("acknowledged_"+unit+"_total") + n("dropped_"+unit+"_total") + n("damaged_"+unit+"_total") +
			n("dead_"+unit) + n("waiting_"+unit)
		if in != out || in == 0 {
			return false
		}
	}
	return true
}
