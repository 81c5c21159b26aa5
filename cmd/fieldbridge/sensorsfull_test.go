package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestSensorsAtFullQueue fills a queue that drops what is new while the cloud is
// away. An MQTT 3.1.1 client is disconnected without an acknowledgement and
// sends again until the cloud is back, an MQTT 5 client is told 0x97. Nothing
// that was acknowledged is missing.
func TestSensorsAtFullQueue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	t.Parallel()
	need(t, "mosquitto_pub")
	needPython(t, "paho.mqtt.client")
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	arrived := &numbers{}
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs"), OnPublish: arrived.add,
		Listen: needtest.Address(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	if _, err := cloud.Device("full"); err != nil {
		t.Fatal(err)
	}
	broker, console := needtest.Address(t), needtest.Address(t)
	config := fmt.Sprintf(`gateway: full
northbound: {awsiot: {endpoint: %q, server_name: localhost, certificate: certs/full.pem,
    private_key: certs/full.key, ca: certs/ca.pem, topic: "full/{gateway}", max_message: 100KiB,
    rate: {messages: 0, bytes: 0}}}
store: {dir: queue, max_size: 16MiB, when_full: drop-newest}
southbound:
  mqtt:
    brokers: {local: {listen: %q}}
    sensors: {fill: {broker: local, topic: "fill/{device}", points: all}}
console: {listen: %q}
`, cloud.Addr(), broker, console)
	if err := os.WriteFile(filepath.Join(dir, "full.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cloud.Offline()
	gateway := spawn(t, dir, bin, "run", "full.yaml")
	eventually(t, "the gateway's broker listens", 10*time.Second, listening(broker))
	script, err := filepath.Abs("testdata/fill.py")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(broker)
	const (
		messages = 250
		refused  = `fieldbridge_mqtt_refused_total{broker="local"}`
	)
	three := spawn(t, dir, python, script, "acked", port, strconv.Itoa(messages))
	eventually(t, "the queue is full", 60*time.Second, func() bool { return scrapeAt(console)[refused] >= 3 })

	five := exec.Command("mosquitto_pub", "-V", "mqttv5", "-h", "127.0.0.1", "-p", port, "-q", "1", "-i", "five", "-t",
		"fill/five", "-m", `{"n":1}`)
	if out, err := five.CombinedOutput(); !strings.Contains(string(out), "Quota exceeded") {
		t.Errorf("an MQTT 5 client was told %q, %v", out, err)
	}
	if acked := readLines(t, filepath.Join(dir, "acked")); len(acked) >= messages {
		t.Errorf("all %d messages were acknowledged by a full queue", len(acked))
	}

	if err := cloud.Online(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-three.end:
	case <-time.After(busy * 90 * time.Second):
		t.Fatal("the MQTT 3.1.1 client does not come to an end")
	}
	lost := regexp.MustCompile(`all acknowledged, (\d+) connections lost`).FindStringSubmatch(three.out.String())
	if lost == nil || lost[1] == "0" {
		t.Errorf("the MQTT 3.1.1 client: %s", three.out)
	}
	eventually(t, "the queue is empty", 60*time.Second, func() bool {
		m := scrapeAt(console)
		return m != nil && m["fieldbridge_queue_waiting_readings"] == 0
	})
	m := scrapeAt(console)
	if !ledgerHolds(m) || m["fieldbridge_queue_refused_batches_total"] == 0 {
		t.Errorf("metrics: %v", m)
	}
	acked := readLines(t, filepath.Join(dir, "acked"))
	if len(acked) != messages {
		t.Errorf("%d of %d messages were acknowledged", len(acked), messages)
	}
	for _, n := range acked {
		if !arrived.has("three " + n) {
			t.Errorf("message %s was acknowledged and is not at the cloud", n)
		}
	}
	if arrived.has("five 1") {
		t.Error("a refused message is at the cloud")
	}
	t.Logf("%s; %.0f refused", strings.TrimSpace(three.out.String()), m[refused])
	gateway.signal(syscall.SIGTERM, 5*time.Second)
}

// numbers remembers the values of the point n that arrive, as "DEVICE VALUE".
type numbers struct {
	mu   sync.Mutex
	have map[string]bool
}

func (a *numbers) add(m awsiottest.Message) {
	var rows struct {
		Batches []struct {
			Device string
			Points map[string]any
		}
	}
	if json.Unmarshal(m.Payload, &rows) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range rows.Batches {
		if n, ok := b.Points["n"]; ok {
			if a.have == nil {
				a.have = make(map[string]bool)
			}
			a.have[fmt.Sprint(b.Device, " ", n)] = true
		}
	}
}

func (a *numbers) has(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.have[what]
}
