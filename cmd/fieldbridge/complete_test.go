package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"fieldbridge/blackbox"
)

// toComplete is a gateway with all that has names.
const toComplete = `
gateway: press-line-2
northbound:
  awsiot: {endpoint: a1b2-ats.iot.eu-central-1.amazonaws.com, certificate: c.pem, private_key: c.key, topic: t}
southbound:
  modbus:
    buses:
      hall: {url: "tcp://192.168.1.50"}
      yard: {url: "tcp://192.168.1.51"}
    devices:
      boiler:
        bus: hall
        points:
          supply_temp: {input: 0, unit: "°C"}
          setpoint: {holding: 5, writable: true}
          unlock: {holding: 20, access: write}
      hall.pump:
        bus: yard
        points: {speed: {input: 0}}
  mqtt:
    brokers: {local: {listen: "127.0.0.1:0", anonymous: true}}
    sensors:
      oven: {broker: local, topic: oven/t, device: oven, point: t}
      others: {broker: local, topic: "hall/{name}/t", device: "{name}", point: t}
`

// completions returns what a shell is offered for the last of words, without
// descriptions, and the directive.
func completions(t *testing.T, words ...string) ([]string, string) {
	t.Helper()
	code, stdout, _ := call(t, append([]string{"__complete"}, words...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := lines[len(lines)-1]
	if code != exitDone || !strings.HasPrefix(last, ":") {
		t.Fatalf("%q: exit %d: %s", words, code, stdout)
	}
	var names []string
	for _, line := range lines[:len(lines)-1] {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return names, last
}

// Each command completes the names of the file that stands before, or of the folder.
func TestComplete(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"gateway.yaml": toComplete, "other/broken.yaml": "a: [",
		"other/fleet.yaml": fleetToComplete} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recorded(t, "recording.jsonl", "hall", "yard")
	all := []string{"boiler", "hall.pump", "oven"}
	const files, none, more = ":0", ":4", ":6" // directives
	cases := []struct {
		words, directive string
		want             []string
	}{
		{"values ", files, all},
		{"values b", files, []string{"boiler"}},
		{"values boiler ", files, nil},
		{"values boiler gateway.yaml ", none, nil},
		{"commands o", files, []string{"off", "on"}},
		{"commands off ", files, nil},
		{"sensors forget ", none, []string{"oven"}},
		{"modbus read ", files, nil},
		{"modbus read gateway.yaml ", none, []string{"boiler", "hall.pump"}},
		{"modbus read gateway.yaml b", none, []string{"boiler", "boiler.setpoint", "boiler.supply_temp"}},
		{"modbus read gateway.yaml boiler.su", none, []string{"boiler.supply_temp"}},
		{"modbus read gateway.yaml hall.p", none, []string{"hall.pump", "hall.pump.speed"}},
		{"modbus read tcp://192.168.1.50 ", none, nil},
		{"modbus read other/broken.yaml ", none, nil},
		{"modbus read other/fleet.yaml --gateway east ", none, []string{"meter", "meter.power"}},
		{"modbus read --via gateway.yaml ", none, []string{"hall", "yard"}},
		{"modbus write gateway.yaml ", none, []string{"boiler.setpoint", "boiler.unlock"}},
		{"modbus write gateway.yaml boiler.se", none, []string{"boiler.setpoint"}},
		{"modbus write gateway.yaml boiler.setpoint ", none, nil},
		{"modbus write --via gateway.yaml h", none, []string{"hall"}},
		{"modbus scan --via gateway.yaml y", none, []string{"yard"}},
		{"modbus raw --via gateway.yaml ", none, []string{"hall", "yard"}},
		{"modbus decode --via gateway.yaml ", none, []string{"hall", "yard"}},
		{"modbus replay recording.jsonl --bus ", none, []string{"hall", "yard"}},
		{"queue export gateway.yaml --device ", none, all},
		{"queue export --device o", none, []string{"oven"}},
		{"cloud send ", none, []string{"press-line-2"}},
		{"cloud send press-line-2 ", more, []string{"boiler.setpoint=", "boiler.unlock="}},
		{"fleet render other/fleet.yaml --gateway ", none, []string{"east", "west"}},
		{"check other/fleet.yaml --gateway w", none, []string{"west"}},
		{"check --gateway ", none, []string{"press-line-2"}},
		{"check ", files, nil},
		{"version ", none, nil},
	}
	seen := make(map[string]bool)
	for _, tt := range cases {
		got, directive := completions(t, strings.Split(tt.words, " ")...)
		if !slices.Equal(got, tt.want) || directive != tt.directive {
			t.Errorf("%q: %q %s, want %q %s", tt.words, got, directive, tt.want, tt.directive)
		}
		seen[tt.words] = len(tt.want) > 0
	}
	t.Run("all", func(t *testing.T) { everyNameCompletes(t, slices.Collect(maps.Keys(seen))) })
}

// everyNameCompletes fails where a command takes a name and no case above completes it.
func everyNameCompletes(t *testing.T, cases []string) {
	leavesOf(tree(), func(path string, c *cobra.Command) {
		for _, word := range []string{"DEVICE", "THING", "off"} {
			if strings.Contains(c.Use, word) && !slices.ContainsFunc(cases, func(s string) bool {
				return strings.HasPrefix(s, path+" ")
			}) {
				t.Errorf("%s takes %s: nothing completes it", path, word)
			}
		}
		for _, flag := range []string{"device", "bus", "gateway"} {
			if f := c.Flags().Lookup(flag); f != nil {
				if _, there := c.GetFlagCompletionFunc(flag); !there {
					t.Errorf("%s --%s: nothing completes it", path, flag)
				}
			}
		}
		if c.Flags().Lookup("via") != nil && !slices.ContainsFunc(cases, func(s string) bool {
			return strings.HasPrefix(s, path+" --via gateway.yaml ")
		}) {
			t.Errorf("%s --via: no bus is completed", path)
		}
	})
}

// recorded writes a file of recordings of buses.
func recorded(t *testing.T, file string, buses ...string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bus := range buses {
		r := blackbox.Recording{Tape: "bus " + bus, At: "tcp://192.168.1.50:502"}
		if err := r.Write(f, func([]byte, int) string { return "" }); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// fleetToComplete is a fleet of two gateways.
const fleetToComplete = `
fleet: works
defaults:
  northbound:
    awsiot:
      {endpoint: a1b2-ats.iot.eu-central-1.amazonaws.com, certificate: c.pem, private_key: c.key, topic: "t/{gateway}"}
gateways:
  east:
    southbound: {modbus: {devices: {meter: {url: "tcp://192.168.1.50", points: {power: {input: 0}}}}}}
  west:
    southbound: {modbus: {devices: {pump: {url: "tcp://192.168.1.50", points: {speed: {input: 0}}}}}}
`
