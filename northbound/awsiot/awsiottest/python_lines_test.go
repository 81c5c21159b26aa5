package awsiottest

import (
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// TestPythonLines tries the lines of the checklist with a client that shares no
// code with us: Eclipse Paho for Python and Python's TLS. What it cannot show
// (the reason of a PUBACK) mosquitto_pub does in [TestRefusalsToMosquitto].
func TestPythonLines(t *testing.T) {
	t.Parallel()
	python := tool(t, "/usr/bin/python3")
	if exec.Command(python, "-c", "import paho.mqtt.client").Run() != nil {
		tool(t, "python3-paho-mqtt") // says that it is missing
	}
	dir := t.TempDir()
	c := start(t, func(o *Options) { o.Dir = dir })
	strict := start(t, func(o *Options) { o.Dir, o.ALPN, o.StrictSNI, o.Hosts = dir, true, true, []string{"localhost"} })
	id := device(t, c, "gateway-1")
	device(t, strict, "gateway-1")
	all := []string{"*"}
	c.SetPolicy(id.ID, rules.Policy{{Actions: []string{"iot:*"}, Resources: all},
		{Deny: true, Actions: []string{"iot:Connect"}, Resources: []string{"client/forbidden"}},
		{Deny: true, Actions: []string{"iot:Receive"}, Resources: []string{"topic/secret/*"}},
		{Deny: true, Actions: []string{"iot:Subscribe"}, Resources: []string{"topicfilter/closed/*"}}})
	port := func(c *Cloud) string { _, port, _ := net.SplitHostPort(c.Addr()); return port }
	cmd := exec.CommandContext(t.Context(), python, "testdata/lines.py", port(c), port(strict), c.CA(), id.Certificate,
		id.PrivateKey, id.Name)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"1":  `["refused","TLSv1.2","TLSv1.3"]`,
		"2":  `["TLSv1.3 x-amzn-mqtt-ca",false]`,
		"3":  `"refused"`,
		"4":  `"refused"`,
		"7":  `135`,
		"8":  `[133,133]`,
		"9":  `"$GEN/"`,
		"10": `[142,[["wills/a","gone"]]]`,
		"13": `{"ReceiveMaximum":100,"MaximumQoS":1,"MaximumPacketSize":149504,"TopicAliasMaximum":8,` +
			`"RetainAvailable":1,"WildcardSubscriptionAvailable":1,"SubscriptionIdentifierAvailable":0,` +
			`"SharedSubscriptionAvailable":1}`,
		"14": `[30,null,null,1200]`,
		"15": `[null,3600]`,
		"16": `[1,[["offline/1","one"]]]`,
		"20": `[["wills/cut","gone"]]`,
		"23": `[[1,1,135],[["open/1","x"]]]`,
		"32": `[[1,1,1,1,1,1,1,1],151,[151]]`,
		"34": `155`,
		"35": `161`,
		"37": `[["p/c","child"]]`,
		"38": `[0,[["kept/1","retained"]]]`,
		"39": `604800`,
		"41": `135`,
		"42": `[[143],0]`,
		"43": `[["get/rejected",404],["update/accepted",1],["update/delta",1],["update/rejected",409]]`,
		"48": `[["connected",null],["disconnected","CLIENT_INITIATED_DISCONNECT"]]`,
	} {
		t.Run("line"+line, func(t *testing.T) {
			if diff := cmp.Diff(decoded(t, want), decoded(t, string(got[line]))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}
