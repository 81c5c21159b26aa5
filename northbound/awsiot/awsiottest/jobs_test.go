package awsiottest

import (
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestLine45Jobs: answers reach the requester alone, and without a subscription;
// notifications reach who has subscribed.
func TestLine45Jobs(t *testing.T) {
	c, gateway := up(t, nil)
	other := join(t, c, "gateway-2")
	work := jobs.New(c.Registry())
	c.Serve(work)
	gateway.subscribe(1, "$aws/things/gateway-1/jobs/notify-next")
	other.subscribe(1, "$aws/things/gateway-2/#")
	if err := work.Create(jobs.Job{ID: "a", Document: `{"operation":"x"}`, Things: []string{"gateway-1"}}); err != nil {
		t.Fatal(err)
	}
	if m := gateway.message(); m.Topic != "$aws/things/gateway-1/jobs/notify-next" ||
		decode(t, m)["execution"].(map[string]any)["jobId"] != "a" {
		t.Errorf("%s: %s", m.Topic, m.Payload)
	}
	gateway.publish("$aws/things/gateway-1/jobs/start-next", 0, []byte(`{"clientToken":"x"}`), nil)
	if m := gateway.message(); m.Topic != "$aws/things/gateway-1/jobs/start-next/accepted" ||
		decode(t, m)["clientToken"] != "x" {
		t.Errorf("%s: %s", m.Topic, m.Payload)
	}
	gateway.publish("$aws/things/gateway-1/jobs/a/update", 0, []byte(`{"status":"SUCCEEDED"}`), nil)
	topics := map[string]bool{} // in whichever order: AWS promises none
	for range 2 {
		topics[gateway.message().Topic] = true
	}
	if !topics["$aws/things/gateway-1/jobs/notify-next"] || !topics["$aws/things/gateway-1/jobs/a/update/accepted"] {
		t.Errorf("then came %v", topics)
	}
	// Another's jobs are no topic of this thing's.
	other.publish("$aws/things/gateway-1/jobs/get", 1, nil, nil)
	if code := other.disconnected(); code != 0x87 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}
