package broker

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"fieldbridge/needtest"
)

// python runs a script with the system's Python, which has the module paho.
func python(t *testing.T, script string, args ...string) string {
	t.Helper()
	program := "/usr/bin/python3"
	if err := exec.Command(program, "-c", "import paho.mqtt.client").Run(); err != nil {
		needtest.Missing(t, "python3-paho-mqtt is not installed")
	}
	out, err := exec.CommandContext(t.Context(), program, append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A Python client publishes in every QoS and both versions, through a
// persistent session and with retain, and hears itself.
const pythonClient = `
import sys, threading
import paho.mqtt.client as mqtt
host, port = sys.argv[1], int(sys.argv[2])
for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    c = mqtt.Client(client_id="py%d" % version, protocol=version)
    heard, subscribed, all_heard = [], threading.Event(), threading.Event()
    def on_message(c, u, m):
        heard.append(m.payload)
        if len(heard) == 300: all_heard.set()
    c.on_message = on_message
    c.on_subscribe = lambda *a: subscribed.set()
    c.connect(host, port)
    c.loop_start()
    c.subscribe("t/py%d/p" % version, 2)
    assert subscribed.wait(5), "no SUBACK"
    for qos in (0, 1, 2):
        sent = [c.publish("t/py%d/p" % version, str(i), qos, retain=True) for i in range(100)]
        for m in sent: m.wait_for_publish(5)
        assert all(m.is_published() for m in sent), "not all acknowledged"
    assert all_heard.wait(5), "heard %d of 300" % len(heard)
    c.disconnect()
    c.loop_stop()
print("done")
`

func TestPythonClient(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	host, port, _ := net.SplitHostPort(address(t, s))
	if out := python(t, pythonClient, host, port); !strings.Contains(out, "done") {
		t.Fatal(out)
	}
	r.wait(t, 600)
}
