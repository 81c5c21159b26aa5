package awsiottest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/things"
)

// TestPythonExecution has Eclipse Paho for Python carry out an execution: its
// topics, the answers to its updates, and what is refused.
func TestPythonExecution(t *testing.T) {
	python := tool(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import paho.mqtt.client").Run() != nil {
		tool(t, "python3-paho-mqtt") // says that it is missing
	}
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	_, port, _ := net.SplitHostPort(c.Addr())
	cmd := exec.CommandContext(t.Context(), python, "testdata/execution.py", port, c.CA(), id.Certificate, id.PrivateKey,
		id.Name)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v, %s", line, err, &stderr)
	}
	execution := c.StartExecution("gateway-1", []byte(`{"action":"rebirth"}`), time.Minute)
	rest, err := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, rest, &stderr)
	}
	var got map[string]any
	if err != nil || json.Unmarshal(rest, &got) != nil {
		t.Fatalf("%s, %v", rest, err)
	}
	answer := func(kind string, more ...string) []any {
		body := map[string]any{"executionId": execution}
		for i := 0; i < len(more); i += 2 {
			body[more[i]] = more[i+1]
		}
		return []any{execution + "/response/" + kind + "/json", body}
	}
	stranger := answer("rejected", "error", "ResourceNotFound", "errorMessage", "no such execution")
	stranger[0], stranger[1].(map[string]any)["executionId"] = "nobody/response/rejected/json", "nobody"
	want := map[string]any{"connack": 0.0, "id": execution,
		"suback": []any{[]any{1.0, 1.0, 1.0}, []any{float64(0x8F)}, []any{float64(0x8F)}},
		"messages": []any{[]any{execution + "/request/json", map[string]any{"action": "rebirth"}},
			answer("accepted"), answer("rejected", "error", "InvalidRequest", "errorMessage", "no such status"),
			answer("rejected", "error", "InvalidRequest", "errorMessage", "statusReason"), answer("accepted"),
			answer("rejected", "error", "TerminalStateReached", "errorMessage", "SUCCEEDED"), stranger}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the client saw (-want +got):\n%s", diff)
	}
	e := c.Execution(execution)
	history := []things.ExecutionStatus{things.Created, things.InProgress, things.Succeeded}
	if diff := cmp.Diff(history, e.History); diff != "" || e.Code != "OK" || e.Description != "all well" ||
		string(e.Result["x"]) != `{"s": "1"}` {
		t.Errorf("execution %+v", e)
	}
}
