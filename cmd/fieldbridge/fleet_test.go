package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFleetCommands(t *testing.T) {
	const oldFleet, newFleet = "testdata/fleet-old.yaml", "testdata/fleet-new.yaml"
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // the beginning
	}{
		"list": {[]string{"list", oldFleet}, exitDone,
			"  GATEWAY  GROUPS  DEVICES  POINTS  SENSOR RULES  MESSAGES IN 30 DAYS  USD\n" +
				"  g-1              1        2       2             1.5 million          1.54\n", ""},
		"list for programs": {[]string{"list", oldFleet, "--json"}, exitDone, "[\n  {\n    \"gateway\": \"g-1\",\n", ""},
		"check": {[]string{"check", oldFleet}, exitDone, "acme: 9 gateways with 18 points are right\n",
			"warning: testdata/fleet-old.yaml:9:9: device boiler at tcp://10.0.0.1:502 unit 1 is also polled by gateway g-1 " +
				"(g-2 and 7 more gateways)"},
		"render": {[]string{"render", oldFleet, "--gateway", "g-3", "--origin"}, exitDone,
			"gateway: \"g-3\"  # testdata/fleet-old.yaml:13\nnorthbound:\n", ""},
		"render, which": {[]string{"render", oldFleet}, exitUsage, "",
			"testdata/fleet-old.yaml:1:1: which gateway of the fleet is this?"},
		"diff": {[]string{"diff", oldFleet, newFleet}, exitDone, `g-1, g-2, g-3 and 5 more gateways
  boiler: every 1s -> 500ms
  boiler: point b every default -> 5s
  boiler: point c new
  sensor one: removed
`, ""},
		"no diff": {[]string{"diff", oldFleet, oldFleet}, exitDone, "nothing changes\n", ""},
		"policy": {[]string{"policy", oldFleet, "--account", "123456789012"}, exitDone,
			"{\n  \"Version\": \"2012-10-17\",\n", ""},
		"policy, no account": {[]string{"policy", oldFleet}, exitUsage, "", "fieldbridge fleet policy: say --account ID"},
		"not a fleet": {[]string{"check", "../../configs/examples/first-run.yaml"}, exitUsage, "",
			"../../configs/examples/first-run.yaml:2:1: this is not a fleet file"},
		"no file": {[]string{"check"}, exitUsage, "", "Usage: fieldbridge fleet check FILE [--json]\n"},
		"unknown": {[]string{"chek"}, exitUsage, "",
			"fieldbridge fleet: no command \"chek\": did you mean \"check\"? 'fieldbridge help fleet' lists them\n"},
		"nothing": {nil, exitUsage, "", "Usage: fieldbridge fleet COMMAND\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := dispatch(t.Context(), append([]string{"fleet"}, test.args...), nil, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.HasPrefix(stdout.String(), test.stdout) || test.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout (-want +got):\n%s", cmp.Diff(test.stdout, stdout.String()))
			}
			if !strings.HasPrefix(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr (-want +got):\n%s", cmp.Diff(test.stderr, stderr.String()))
			}
		})
	}
}
