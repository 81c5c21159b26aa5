package awsiottest

import (
	"encoding/json"
	"net"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPythonClient has Eclipse Paho for Python look at the stand-in: CONNACK
// properties, a subscription, a message with all its properties, and the
// DISCONNECT for a topic that AWS would not take.
func TestPythonClient(t *testing.T) {
	python := tool(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import paho.mqtt.client").Run() != nil {
		tool(t, "python3-paho-mqtt") // says that it is missing
	}
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	_, port, _ := net.SplitHostPort(c.Addr())
	cmd := exec.CommandContext(t.Context(), python, "testdata/client.py", port, c.CA(), id.Certificate, id.PrivateKey,
		id.Name)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, err.(*exec.ExitError).Stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"connack": 0.0, "present": 0.0, "suback": []any{[]any{1.0}}, "disconnect": float64(0x90),
		"properties": map[string]any{"SessionExpiryInterval": 3600.0, "ReceiveMaximum": 100.0, "MaximumQoS": 1.0,
			"MaximumPacketSize": 149504.0,
			"TopicAliasMaximum": 8.0, "RetainAvailable": 1.0, "WildcardSubscriptionAvailable": 1.0,
			"SubscriptionIdentifierAvailable": 0.0,
			"SharedSubscriptionAvailable":     1.0, "ServerKeepAlive": 30.0},
		"messages": []any{[]any{"plant/1", `{"v":1}`, 1.0, map[string]any{"ContentType": "application/json",
			"ResponseTopic":   "answers",
			"CorrelationData": "3432", "UserProperty": []any{[]any{"k", "v"}}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the client saw (-want +got):\n%s", diff)
	}
}
