package configs

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/mqtt/inlet"
)

// Addresses of brokers are one or a list; what else a broker of the site is sent
// stands beside.
func TestBrokerAddresses(t *testing.T) {
	const rest = `
northbound:
  awsiot:
    {endpoint: "a-ats.iot.eu-central-1.amazonaws.com:8883", certificate: c, private_key: k, topic: "p/{gateway}"}
`
	dir := write(t, map[string]string{"good.yaml": `gateway: g
southbound:
  mqtt:
    brokers:
      one: {listen: "127.0.0.1:1883"}
      two: {listen: ["127.0.0.1:1884", "ws://127.0.0.1:8083/mqtt"], origins: ["https://panel.example"]}
      pair: {url: ["mqtt://10.0.0.9:1883", "ws://10.0.0.10:8083/mqtt"]}
      venus: {url: "mqtt://10.0.0.7:1883", publish: [{topic: R/c0619ab1/keepalive, payload: "", every: 30s}]}
` + rest, "bad.yaml": `gateway: g
southbound:
  mqtt:
    brokers:
      pair:
        url:
          - mqtt://10.0.0.9:1883
          - tcp://10.0.0.10:1883
        publish: [{topic: R/x, every: 1ms}]
` + rest})
	b := load(t, filepath.Join(dir, "good.yaml")).Config.Southbound.MQTT.Brokers
	for name, want := range map[string]inlet.Addresses{"one": {"127.0.0.1:1883"},
		"two": {"127.0.0.1:1884", "ws://127.0.0.1:8083/mqtt"}} {
		if d := cmp.Diff(want, b[name].Listen); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if d := cmp.Diff(inlet.Addresses{"mqtt://10.0.0.9:1883", "ws://10.0.0.10:8083/mqtt"}, b["pair"].URL); d != "" {
		t.Error(d)
	}
	if p := b["venus"].Publish; len(p) != 1 || p[0].Topic != "R/c0619ab1/keepalive" || p[0].Every.D() != 30*time.Second {
		t.Errorf("%+v", p)
	}
	_, err := Load(t.Context(), filepath.Join(dir, "bad.yaml"))
	for _, want := range []string{"bad.yaml:8:13", "tcp://10.0.0.10:1883", "bad.yaml:9:", "every is 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}
