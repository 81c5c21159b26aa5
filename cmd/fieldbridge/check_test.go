package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
)

func TestPrintPlan(t *testing.T) {
	p := configs.Plan{
		Gateway: "press-line-2",
		Buses: []modbus.BusPlan{
			{Bus: "hall-a", Link: "rtu:///dev/ttyUSB0", Load: 1.2, Fits: setting.Duration(1600 * time.Millisecond), Blocks: []modbus.BlockPlan{
				{Device: "meter", UnitID: 3, Table: "holding", Address: 40, Count: 1, Points: []string{"fault"},
					Every: setting.Duration(90 * time.Second)},
			}},
			{Bus: "plc", Link: "tcp://127.0.0.1:5020", Load: 0.004, Blocks: []modbus.BlockPlan{
				{Device: "boiler", UnitID: 1, Table: "input", Count: 3, Points: []string{"supply_temp", "return_temp"},
					Every: setting.Duration(time.Second)},
				{Device: "boiler", UnitID: 1, Table: "coil", Address: 3, Count: 1, Points: []string{"running"}, Every: setting.Duration(time.Second)},
			}},
			{Bus: "spare", Link: "tcp://127.0.0.1:5021"},
		},
		Rules: []configs.RulePlan{{Rule: "hall", Broker: "local", Link: "listens on 127.0.0.1:1883", Topic: "hall/{device}/t",
			Device: "{device}", Points: []string{"t"}}},
		North: configs.NorthPlan{Endpoint: "127.0.0.1:8883", ClientID: "press-line-2", Topic: "plant/press-line-2",
			StatusTopic: "s", Messages: 2592000, Units: 2592000},
		Queue: configs.QueuePlan{Dir: "queue", CommitEvery: "3s"}, Console: "127.0.0.1:8080",
	}
	want := `Gateway press-line-2

Modbus bus hall-a, rtu:///dev/ttyUSB0: about 120 % busy — more than it can do: fits at every: 1.6s, or with fewer points
  DEVICE  UNIT ID  EVERY  READS               FROM  POINTS
  meter   3        1m30s  1 holding register  40    fault
  a request every 1m30s

Modbus bus plc, tcp://127.0.0.1:5020: less than 1 % busy
  DEVICE  UNIT ID  EVERY  READS              FROM    POINTS
  boiler  1        1s     3 input registers  0 to 2  supply_temp, return_temp
  boiler  1        1s     1 coil             3       running
  2 requests per second

Modbus bus spare, tcp://127.0.0.1:5021: not busy
  nothing is read here

Sensors: a message is taken by the first rule that matches
  RULE  BROKER                             TOPIC            DEVICE    POINTS
  hall  local (listens on 127.0.0.1:1883)  hall/{device}/t  {device}  t

AWS IoT Core at 127.0.0.1:8883, as press-line-2
  readings to plant/press-line-2
  state to    s
  what is polled makes up to 2.6 million messages in 30 days, billed as 2.6 million units of 5 KB
  (about 2.59 USD at 1 USD per million units, the list price of us-east-1; rules and sensors come on top)

Queue in queue
  a power cut takes at most 3s of polled readings
  a crash takes nothing, what is not on disk is in shared memory, too

Console at http://127.0.0.1:8080/
`
	var out bytes.Buffer
	printPlan(&out, p)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts that must be there
	}{
		"right": {[]string{"../../configs/examples/first-run.yaml"}, exitDone, "Gateway press-line-2\n",
			"warning: ../../configs/examples/first-run.yaml:7:18: certificate"},
		"wrong": {[]string{"../../configs/testdata/key-unknown-root.bad.yaml"}, exitUsage, "",
			`8:1: unknown key "sothbound": did you mean "southbound"?`},
		"many": {[]string{"../../configs/testdata/many-at-once.bad.yaml"}, exitUsage, "",
			"problems in ../../configs/testdata/many-at-once.bad.yaml\n"},
		"missing":   {[]string{"nothing.yaml"}, exitUsage, "", "nothing.yaml: no such file: check the name"},
		"folder":    {[]string{"."}, exitUsage, "", ".: is a folder: name the YAML file in it"},
		"no file":   {nil, exitUsage, "", "which file?"},
		"two files": {[]string{"a", "b"}, exitUsage, "", `unexpected argument "b"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := dispatch(t.Context(), append([]string{"check"}, test.args...), nil, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || (test.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("stdout %q, want %q in it", stdout.String(), test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), test.stderr)
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	for file, ok := range map[string]bool{"../../configs/examples/first-run.yaml": true,
		"../../configs/testdata/type-octal.bad.yaml": false} {
		var stdout, stderr bytes.Buffer
		code := dispatch(t.Context(), []string{"check", file, "--json"}, nil, &stdout, &stderr)
		var result checkResult
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			t.Fatal(err)
		}
		if result.OK != ok || (code == exitDone) != ok || (len(result.Errors) == 0) != ok || (result.Plan != nil) != ok ||
			stderr.Len() != 0 {
			t.Errorf("%s: code %d, stderr %q, %s", file, code, stderr.String(), stdout.String())
		}
		if !ok && (result.Errors[0].Line != 19 || result.Errors[0].Column != 28 || result.Errors[0].Fix == "") {
			t.Errorf("%+v", result.Errors[0])
		}
	}
}

// Addresses that are found on the device are told as such.
func TestPrintPlanOfModels(t *testing.T) {
	b := modbus.BlockPlan{Models: []int{103, 102}, Address: 2, Count: 38}
	if got, want := addresses(b), "found on the device: 2 to 39 of SunSpec model 103 or 102"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
