package configs

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPolicy(t *testing.T) {
	l := load(t, "examples/every-key.yaml")
	p, err := PolicyFor(map[string]*Loaded{"g": l}, "", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:iot:eu-central-1:123456789012:"
	const shadow = "$aws/things/${iot:Connection.Thing.ThingName}/shadow/name/gateway/"
	want := []Statement{
		{"Allow", []string{"iot:Connect"}, []string{arn + "client/${iot:Connection.Thing.ThingName}"}},
		{"Allow", []string{"iot:Publish"}, []string{
			arn + "topic/$aws/rules/plant_readings/plant/brno/${iot:Connection.Thing.ThingName}/*",
			arn + "topic/" + shadow + "get", arn + "topic/" + shadow + "update",
			arn + "topic/plant/${iot:Connection.Thing.ThingName}/status",
		}},
		{"Allow", []string{"iot:Subscribe"}, []string{arn + "topicfilter/" + shadow + "*", arn +
			"topicfilter/plant/${iot:Connection.Thing.ThingName}/cmd"}},
		{"Allow", []string{"iot:Receive"}, []string{arn + "topic/" + shadow + "*", arn +
			"topic/plant/${iot:Connection.Thing.ThingName}/cmd"}},
	}
	if diff := cmp.Diff(want, p.Statement); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := PolicyFor(map[string]*Loaded{"g": load(t, "examples/first-run.yaml")}, "", "123456789012"); err == nil ||
		!strings.Contains(err.Error(), "--region") {
		t.Errorf("no region: %v", err)
	}
	for region, want := range map[string]string{"cn-north-1": "arn:aws-cn:", "us-gov-west-1": "arn:aws-us-gov:"} {
		p, err := PolicyFor(map[string]*Loaded{"g": l}, region, "1")
		if err != nil || !strings.HasPrefix(p.Statement[0].Resource[0], want) {
			t.Errorf("%s: %v %v", region, p, err)
		}
	}
}

// TestPolicyOfPoints: a topic of each point is covered as one of each device is.
func TestPolicyOfPoints(t *testing.T) {
	l := load(t, "examples/every-key.yaml")
	l.Config.Northbound.AWSIoT.Topic, l.Config.Northbound.AWSIoT.BasicIngest = "{point}/{gateway}/{device}", ""
	p, err := PolicyFor(map[string]*Loaded{"g": l}, "", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	const want = "arn:aws:iot:eu-central-1:123456789012:topic/*/${iot:Connection.Thing.ThingName}/*"
	if !slices.Contains(p.Statement[1].Resource, want) {
		t.Errorf("%v, want %s", p.Statement[1].Resource, want)
	}
}

// TestPolicyFits: with all that a gateway can be given, the policy is one that
// AWS takes.
func TestPolicyFits(t *testing.T) {
	l := load(t, "examples/every-key.yaml")
	l.Config.Northbound.AWSIoT.Commands.Executions, l.Config.Northbound.AWSIoT.Commands.Desired = true, true
	p, err := PolicyFor(map[string]*Loaded{"g": l}, "us-gov-west-1", "123456789012")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil || len(text) > MaxPolicy {
		t.Errorf("%d characters, %v", len(text), err)
	}
	const executions = "/$aws/commands/things/${iot:Connection.Thing.ThingName}/executions/"
	for _, want := range []string{
		"topic" + executions + "*/response/json", "topicfilter" + executions + "+/*", "topic" + executions + `*"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in it", want)
		}
	}
	t.Logf("%d characters", len(text))
}
