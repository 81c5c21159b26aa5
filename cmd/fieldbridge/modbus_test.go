package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

func TestModbusCommands(t *testing.T) {
	sim := modbustest.New()
	u := sim.Unit(1)
	u.Identify("Acme", "BOILER")
	sim.Unit(7).Identify("HUAWEI", "SUN2000")
	u.Set(modbustest.Holding, 100, modbustest.Float32(85.64)...)
	u.Set(modbustest.Input, 3, 65535)
	u.Only(modbustest.Holding, 0, 5)
	u.Only(modbustest.Holding, 100, 2)
	url := "tcp://" + sim.Start(t)
	tests := []struct {
		name           string
		args           string
		code           int
		stdout, stderr string // parts
	}{
		{"read", "read URL holding:100 --type float32", exitDone, "100\t85.64\n", ""},
		{"reference", "read URL 40101 --type float32", exitDone, "100\t85.64\n", ""},
		{"scaled", "read --scale 0.1 --type int16 URL i:3", exitDone, "3\t-0.1\n", ""},
		{"json", "read URL input:2 --count 2 --json", exitDone, "[\n  {\n    \"address\": 2,\n    \"value\": 0\n  },\n", ""},
		{"range", "read URL holding:0-4", exitDone, "0\t0\n1\t0\n2\t0\n3\t0\n4\t0\n", ""},
		{"range of references", "read URL 40101-40102 --type float32", exitDone, "100\t85.64\n", ""},
		{"range without room", "read URL holding:100-100 --type float32", exitUsage, "",
			"100 to 100 has no room for a value of 2 registers"},
		{"range and count", "read URL holding:0-4 --count 2", exitUsage, "",
			`"holding:0-4" is not a range: write holding:0-9, or --count`},
		{"unit", "read URL holding:0 --unit 300", exitUsage, "", "unit 300: ids are 0 to 255"},
		{"fraction", "write URL holding:4 12.5 --yes", exitFailed, "",
			"12.5 is not a whole number, and uint16 has no others"},
		{"octal", "read URL holding:010", exitUsage, "", `"010" is not an address from 0 to 65535`},
		{"exception", "read URL holding:50", exitFailed, "",
			"fieldbridge modbus read: read unit 1 holding 50+1: exception 2, illegal data address: it has no such address"},
		{"silence", "read URL holding:0 --unit 9 --timeout 50ms", exitFailed, "",
			"no answer in time: check --unit (scan finds those that answer)"},
		{"nobody", "read tcp://127.0.0.1:1 holding:0", exitFailed, "",
			"connection refused: the host is there and nothing listens: check the port"},
		{"no adapter", "read rtu:///dev/ttyNONE holding:0", exitFailed, "", "/dev/ttyNONE: no such file or folder: "},
		{"flag", "read URL holding:0 --coutn 4", exitUsage, "",
			"fieldbridge modbus read: unknown flag: --coutn: did you mean --count?\n'fieldbridge modbus read -h' tells more\n"},
		{"trace", "read URL holding:0 --trace", exitDone, "0\t0\n",
			"-> 00 01 00 00 00 06 01 03 00 00 00 01   unit 1, read holding registers 0, 1\n<- 00 01 00 00 00 05 01 03 02 00 " +
				"00   unit 1, read holding registers: 2 bytes of data\n"},
		{"write", "write URL holding:4 --type int16 --yes -- -7", exitDone, "", "written, read back and the same\n"},
		{"write below zero", "write URL holding:4 -7 --type int16 --yes", exitDone, "", "written, read back and the same\n"},
		{"write refused", "write URL holding:50 7 --yes", exitFailed, "",
			"exception 2, illegal data address: it has no such address"},
		{"write what does not fit", "write URL holding:4 70000 --yes", exitFailed, "", "70000 does not fit in uint16"},
		{"decode", "decode 42AB 47AE", exitDone, "float32    ABCD 85.64 ", ""},
		{"decode a device", "decode URL holding:100 --count 2", exitDone, "registers  42 AB 47 AE\n", ""},
		{"decode expecting", "decode URL holding:100 --count 2 --expect 85.6", exitDone,
			"value: {holding: 100, type: float32}  85.64\n", ""},
		{"decode what is given, expecting", "decode 0000 FF83 --expect -12.5", exitDone,
			"value: {holding: ADDRESS+1, type: int16, scale: 0.1}   -12.5\n", ""},
		{"decode expecting, json", "decode 0048 --expect 72 --json", exitDone,
			"\"type\": \"uint16\",\n    \"also\": [\n      \"int16\",", ""},
		{"decode expecting something else", "decode 1234 --expect 72", exitFailed, "",
			"nothing in these 1 registers is near 72"},
		{"decode expecting a word", "decode 1234 --expect hot", exitUsage, "", "is not a decimal number"},
		{"decode bits", "decode URL coil:100", exitUsage, "", "single bits"},
		{"scan", "scan URL --units 1-3 --timeout 1s", exitDone, "unit 1: it has holding 0 (Acme, BOILER)\n", ""},
		{"scan nothing", "scan URL --units 2-3 --timeout 50ms", exitFailed, "", "nothing answered: check"},
		{"scan json", "scan URL --units 1 --json", exitDone,
			"[\n  {\n    \"unit\": 1,\n    \"answer\": \"value\",\n    \"exception\": 0,\n    \"objects\": [\n" +
				"      {\n        \"id\": 0,\n        \"text\": \"Acme\"\n      },\n", ""},
		{"scan nothing json", "scan URL --units 2 --timeout 1s --json", exitFailed, "[]\n", "nothing answered: check"},
		{"scan addresses json", "scan URL --addresses holding:0-9 --json", exitDone,
			"[\n  {\n    \"table\": \"holding\",\n    \"first\": 0,\n    \"count\": 5\n  }\n]\n", ""},
		{"scan offers a profile", "scan URL --units 7", exitDone, "(HUAWEI, SUN2000)\n    profile: huawei-sun2000\n", ""},
		{"scan addresses", "scan URL --addresses holding:0-200", exitDone,
			"holding 0 to 4 answer (5)\nholding 100 to 101 answer (2)\n", ""},
		{"scan models", "scan URL --sunspec", exitFailed, "", `no SunSpec device: there is no "SunS" at holding 40000`},
		{"scan a line", "scan URL --line", exitUsage, "", "--line is for serial ports"},
		{"raw", "raw URL 03 00 04 0001", exitDone, "03 02 ff f9\tread holding registers: 2 bytes of data\n", ""},
		{"raw in one word", "raw URL 2b0e0100", exitDone, "\tread identification\n", ""},
		{"raw exception", "raw URL 0300320001", exitFailed,
			"83 02\tread holding registers: exception 2, illegal data address\n",
			"exception 2, illegal data address: it has no such address"},
		{"raw json", "raw URL 64 --json --yes", exitFailed, `"exception": 1`, "exception 1, illegal function"},
		{"raw text", "raw URL holding:1", exitUsage, "", `"holding:1" is not a request in hexadecimal`},
		{"raw answer", "raw URL 83 02 --yes", exitFailed, "",
			"not a request: 1 to 253 bytes that begin with a function below 128"},
		{"address", "read URL holdign:1", exitUsage, "", `"holdign" is not a table: did you mean "holding"?`},
		{"url", "read plc holding:1", exitUsage, "", `bus url: "plc" is not a URL of a bus: write tcp://`},
		{"units", "scan URL --units 9-3", exitUsage, "", `units: "9-3": write FIRST-LAST, from 0 to 255`},
		{"nothing", "", exitUsage, "", "Usage: fieldbridge modbus COMMAND URL"},
		{"unknown", "raed URL", exitUsage, "", `no command "raed"`},
		{"missing", "read URL", exitUsage, "", "usage: fieldbridge modbus read FILE DEVICE[.POINT] | URL ADDRESS"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := strings.Fields(strings.ReplaceAll(test.args, "URL", url))
			if code := dispatch(t.Context(), append([]string{"modbus"}, args...), nil, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || test.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout %q, want %q", stdout.String(), test.stdout)
			}
			if !strings.Contains(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q, want %q", stderr.String(), test.stderr)
			}
		})
	}
	if got := u.Get(modbustest.Holding, 4, 1)[0]; got != 65536-7 {
		t.Errorf("holding 4 is %d, want -7 as it was written", got)
	}
}

// TestModbusVia: a second process asks over the line that the gateway holds.
func TestModbusVia(t *testing.T) {
	sim := modbustest.New()
	sim.MaxConns = 1
	sim.Unit(1).Set(modbustest.Input, 0, 7)
	zero := 0
	var bus setup.Bus
	bus.SetDefaults()
	bus.URL = "tcp://" + sim.Start(t)
	var device setup.Device
	device.SetDefaults()
	device.Bus, device.Points = "plc", map[string]setup.Point{"a": {Input: &zero}}
	source, err := modbus.New(setup.Config{Buses: map[string]setup.Bus{"plc": bus},
		Devices: map[string]setup.Device{"d": device}}, modbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	polled := make(chan struct{}, 100)
	wg.Go(func() { source.Run(ctx, func(bridge.Batch, func(error)) { polled <- struct{}{} }) })
	<-polled

	dir := t.TempDir()
	l, err := control.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	control.RelayPage.Handle(mux, func(ctx context.Context, r control.Relay) ([]byte, error) { return r.Do(ctx, source) })
	wg.Go(func() { console.ServeOn(ctx, l, mux) })
	var stdout, stderr bytes.Buffer
	if dispatch(ctx, strings.Fields("modbus read plc input:0 --trace --via "+dir), nil, &stdout,
		&stderr); stderr.String() !=
		"-> 04 00 00 00 01   unit 1, read input registers 0, 1\n<- 04 02 00 07   unit 1, read input registers: 2 bytes of "+
			"data\n" {
		t.Errorf("the trace is %q", stderr.String())
	}
	for args, want := range map[string]string{
		"read plc input:0 --via " + dir:                                                   "0\t7\n",
		"scan plc --units 1 --via " + dir:                                                 "unit 1: it has holding 0\n",
		"read " + bus.URL + " input:0 --via " + dir:                                       "0\t7\n",
		"read plcc input:0 --via " + dir:                                                  "",
		"read tcp://" + strings.TrimPrefix(bus.URL, "tcp://") + " input:0 --timeout 50ms": "",
	} {
		var stdout, stderr bytes.Buffer
		code := dispatch(ctx, strings.Fields("modbus "+args), nil, &stdout, &stderr)
		if stdout.String() != want || (code == exitDone) != (want != "") {
			t.Errorf("%s: exit code %d, %q, %q; want %q", args, code, stdout.String(), stderr.String(), want)
		}
	}
}
