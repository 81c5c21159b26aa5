package awsiot

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/northbound/awsiot/remote/jobs"
)

// validator is an independent one: python3-jsonschema. It reads lines of
// [schema file, document, whether it is valid] and tells what is wrong.
const validatorScript = `
import json, sys
from jsonschema import Draft202012Validator
for line in sys.stdin:
    schema, document, valid = json.loads(line)
    schema = json.load(open(schema))
    Draft202012Validator.check_schema(schema)
    errors = [e.message for e in Draft202012Validator(schema).iter_errors(document)]
    if bool(errors) == valid:
        print(json.dumps([document, errors])[:600])
`

// TestSchemas validates every golden payload, and every kind of status message,
// against the schemas in docs, and makes sure that those refuse something.
func TestSchemas(t *testing.T) {
	python := peer(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import jsonschema").Run() != nil {
		peer(t, "python3-jsonschema") // says that it is missing
	}
	var lines strings.Builder
	add := func(schema string, document []byte, valid bool) {
		line, err := json.Marshal([]any{filepath.Join("../../docs/schemas", schema+".json"), json.RawMessage(document),
			valid})
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		lines.Write(append(line, '\n'))
	}
	for _, schema := range []string{"rows", "columns", "flat"} {
		files, err := filepath.Glob("payload/testdata/" + schema + "-*.json")
		if err != nil || len(files) < 3 {
			t.Fatalf("%d golden payloads of %s, %v", len(files), schema, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			add(schema, data, true)
			add(schema, []byte(strings.Replace(string(data), `"v":1`, `"v":2`, 1)), false)
		}
	}
	for _, m := range statusMessages() {
		add("status", payload.Encode(m), true)
		add("status", []byte(strings.Replace(string(payload.Encode(m)), `"at":`, `"when":`, 1)), false)
	}
	add("command", []byte(commandNow("1", setSetpoint)), true)
	add("command", []byte(commandNow("1", `,"action":"rebirth"`)), true)
	add("command", []byte(commandNow("1", "")), false)
	for rest, valid := range map[string]bool{
		`,"action":"write"` + setSetpoint + `,"expires":1763887500123`: true, `,"action":"read","device":"d"`: true,
		`,"action":"read","device":"d","points":["a"]`:                    true,
		`,"action":"interval","device":"d","every":"200ms","for":"1d12h"`: true,
		`,"action":"interval","device":"d","for":0`:                       true,
		`,"action":"interval","device":"d","every":"often"`:               false,
		`,"action":"read"`: false, `,"action":"interval"`: false, `,"action":"reboot"`: false,
	} {
		add("command", []byte(commandNow("1", rest)), valid)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", validatorScript)
	cmd.Stdin = strings.NewReader(lines.String())
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// statusMessages returns one of each kind.
func statusMessages() []any {
	cfg := validConfig()
	s := newStatus(&Sink{options: Options{Gateway: "g", Run: "r", Version: "1", Labels: testLabels,
		Notices: &fakeNotices{runs: []bridge.RunRecord{{Run: "r", Started: time.Now(), Previous: "q", PreviousLast: 7}}}},
		hash: "h"}, &cfg)
	s.number = 3
	online, _ := s.online()
	all := []any{online, presence{Header: s.header("offline"), Connection: 3, Reason: "stopped"},
		s.lost(bridge.Tombstone{Run: "q", First: 1, Last: 2, Count: bridge.Count{Batches: 2, Readings: 3}, Cause: "purged",
			Since: noon, Until: noon}),
		s.lost(bridge.Tombstone{Run: "q", First: 1, Cause: "damaged"}),
		catalogueEntry{Header: s.header("catalog"), Device: "d", Removed: true},
		wellness{s.header("health"), []toldCondition{{"uplink_down", condition.Warning, "uplink", "text", 1}}},
		wellness{s.header("health"), []toldCondition{}},
		remote.Answer{Header: s.header("command"), ID: "1", Outcome: "done", Again: true},
		remote.Answer{Header: s.header("command"), ID: "1", Outcome: "done",
			Points: map[string]json.RawMessage{"a": []byte("21.3")}, Bad: map[string]string{"b": "timeout"}},
		jobs.Message{Header: s.header("job"), ID: "j", Operation: "config", Status: jobs.Failed,
			Details: map[string]string{"error": "no room"}},
		jobs.Message{Header: s.header("job"), ID: "j", Status: jobs.Rejected}}
	numbered, _ := new(proto.Book).Add("d", []proto.Point{{Name: "p", Kind: proto.Uint},
		{Name: "q", Kind: proto.Int, Places: 1}}, nil)
	for _, book := range []*proto.Book{nil, numbered} {
		for _, e := range s.entries(bridge.DeviceInfo{Device: "d", Labels: testLabels,
			Points: []bridge.PointInfo{{Name: "p", Type: "uint16", Unit: "m", Enum: map[int64]string{0: "off"}}}}, book) {
			all = append(all, e)
		}
	}
	return all
}
