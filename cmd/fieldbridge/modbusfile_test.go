package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/modbustest"
)

// byHandFile writes a configuration of one device of sim.
func byHandFile(t *testing.T, address string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
southbound:
  modbus:
    devices:
      hall.boiler:
        url: "tcp://%s"
        points:
          mode: {holding: 4, enum: {0: off, 1: heat}, invalid: [7], writable: true}
          setpoint: {holding: 5, type: int16, scale: 0.1, unit: "°C", writable: {min: 20, max: 80}}
          supply_temp: {holding: 6, type: float32, unit: "°C"}
          lost: {holding: 9}
          running: {coil: 3}
          serial: {holding: 10, type: string, length: 4}
          unlock: {holding: 20, access: write, confirm: {by: echo}}
          start: {coil: 5, writable: true, pulse: 500ms, poll: false}
`, address), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func byHandUnit(sim *modbustest.Simulator) *modbustest.Unit {
	u := sim.Unit(1)
	u.Only(modbustest.Holding, 4, 4)
	u.Only(modbustest.Holding, 10, 2)
	u.Only(modbustest.Holding, 20, 1)
	u.Set(modbustest.Holding, 4, 7, 455)
	u.Set(modbustest.Holding, 6, modbustest.Float32(71.5)...)
	u.Set(modbustest.Holding, 10, 0x4142, 0x4300)
	u.SetBit(modbustest.Coil, 3, true)
	return u
}

// byHand runs a command of modbus and checks what it says.
func byHand(t *testing.T, args, stdin string, code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	got := dispatch(t.Context(), append([]string{"modbus"}, strings.Fields(args)...), strings.NewReader(stdin), &out,
		&errs)
	if got != code {
		t.Errorf("%s: exit code %d, want %d", args, got, code)
	}
	if !strings.Contains(out.String(), stdout) || stdout == "" && out.Len() > 0 {
		t.Errorf("%s: stdout %q, want %q", args, out.String(), stdout)
	}
	if !strings.Contains(errs.String(), stderr) || stderr == "" && errs.Len() > 0 {
		t.Errorf("%s: stderr %q, want %q", args, errs.String(), stderr)
	}
}

// TestModbusByFile: a device is read and set by the words of its file, and what
// the file does not allow is not done.
func TestModbusByFile(t *testing.T) {
	sim := modbustest.New()
	u := byHandUnit(sim)
	file := byHandFile(t, sim.Start(t))
	byHand(t, "read "+file+" hall.boiler", "", exitFailed, `running      true                  coil 3      1
mode         bad: sentinel         holding 4   0007 = 7
setpoint     45.5              °C  holding 5   01c7 = 455
supply_temp  71.5              °C  holding 6   428f 0000 = 71.5
lost         bad: exception_2      holding 9
serial       ABC                   holding 10  4142 4300
`, "hall.boiler.lost (holding 9) is not read: exception 2, illegal data address: it has no such address")
	byHand(t, "read "+file+" hall.boiler.supply_temp", "", exitDone,
		"supply_temp  71.5  °C  holding 6  428f 0000 = 71.5\n", "")
	byHand(t, "read "+file+" hall.boiler.setpoint --json", "", exitDone, `"value": 45.5,`, "")
	byHand(t, "read "+file+" hall.boiler.supply_tmp", "", exitUsage, "",
		`no point "supply_tmp": did you mean "supply_temp"?`)
	byHand(t, "read "+file+" boiler.mode", "", exitUsage, "", `no Modbus device "boiler"`)
	byHand(t, "read "+file+" hall.boiler --unit 3", "", exitUsage, "", "--unit beside a file: the file says it")
	byHand(t, "read nothing.yaml hall.boiler", "", exitUsage, "", "no such file")

	byHand(t, "write "+file+" hall.boiler.setpoint 81 --yes", "", exitUsage, "", "81 is above max 80")
	byHand(t, "write "+file+" hall.boiler.supply_temp 20 --yes", "", exitUsage, "", "not writable: add writable: true")
	byHand(t, "write "+file+" hall.boiler 20 --yes", "", exitUsage, "", `"hall.boiler" is a device: name a point of it`)
	byHand(t, "write "+file+" hall.boiler.setpoint 50", "n\n", exitFailed, "",
		"hall.boiler.setpoint (holding 5 of unit 1 on tcp://")
	if got := u.Get(modbustest.Holding, 5, 1)[0]; got != 455 {
		t.Errorf("holding 5 is %d: it was written, and should not be", got)
	}
	byHand(t, "write "+file+" hall.boiler.setpoint 50.5", "y\n", exitDone, "",
		"it is 45.5 now. Write 50.5 °C? [y/N] written, read back and the same\n")
	byHand(t, "write "+file+" hall.boiler.mode heat --yes", "", exitDone, "", "written, read back and the same\n")
	if got := u.Get(modbustest.Holding, 4, 2); got[0] != 1 || got[1] != 505 {
		t.Errorf("holding 4 and 5 are %d, want 1 and 505", got)
	}
	byHand(t, "read "+file+" hall.boiler.unlock", "", exitUsage, "", "may be written only (access: write)")
	byHand(t, "read "+file+" hall.boiler.start", "", exitDone, "start  false    coil 5  0\n", "")
	byHand(t, "write "+file+" hall.boiler.unlock 6868", "y\n", exitDone, "", "what it is cannot be read. Write 6868? ")
	byHand(t, "write "+file+" hall.boiler.start true --yes", "", exitFailed, "",
		"a pulse is written by a running gateway alone")
	for _, r := range u.Requests() {
		if r.Function == 3 && r.Address <= 20 && r.Address+r.Count > 20 {
			t.Errorf("what may be written only was read: %+v", r)
		}
	}
	if nobody, err := os.Open(os.DevNull); err == nil {
		defer func() { _ = nobody.Close() }()
		var stderr bytes.Buffer
		code := dispatch(t.Context(), []string{"modbus", "write", file, "hall.boiler.mode", "off"}, nobody, &stderr, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "--yes writes without asking") {
			t.Errorf("with nobody to ask: exit code %d, %q", code, stderr.String())
		}
	}
}

// TestModbusByAddressAsks: a write by address, and a raw request that may write, go
// to the device only if somebody says so.
func TestModbusByAddressAsks(t *testing.T) {
	sim := modbustest.New()
	u := sim.Unit(1)
	u.Set(modbustest.Holding, 20, 230)
	url := "tcp://" + sim.Start(t)
	nobody, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nobody.Close() }()
	for _, args := range []string{"write URL holding:20 231", "write URL holding:20 231 --json", "raw URL 06 0014 00e7",
		"raw URL 2b 0d 00 00"} {
		args = strings.ReplaceAll(args, "URL", url)
		for _, answer := range []string{"", "n\n", "maybe\n"} {
			byHand(t, args, answer, exitFailed, "", "nothing was written")
		}
		var stderr bytes.Buffer
		code := dispatch(t.Context(), append([]string{"modbus"}, strings.Fields(args)...), nobody, &stderr, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "--yes writes without asking") {
			t.Errorf("%s with nobody to ask: exit code %d, %q", args, code, stderr.String())
		}
	}
	if got := u.Get(modbustest.Holding, 20, 1)[0]; got != 230 {
		t.Fatalf("holding 20 is %d: it was written without asking", got)
	}
	byHand(t, "write "+url+" holding:20 231", "y\n", exitDone, "",
		"holding 20 of unit 1 on "+url+": it is 230 now. Write 231? [y/N] written, read back and the same\n")
	byHand(t, "raw "+url+" 06 0014 00e8", "yes\n", exitDone, "06 00 14 00 e8", "Send it? [y/N]")
	byHand(t, "raw "+url+" 06 0014 00e9 --yes", "", exitDone, "06 00 14 00 e9", "")
	if got := u.Get(modbustest.Holding, 20, 1)[0]; got != 233 {
		t.Errorf("holding 20 is %d, want 233", got)
	}

}

// TestModbusByFileThroughTheGateway: the gateway that holds the only connection of a
// device asks; a file that it does not run is not written by.
func TestModbusByFileThroughTheGateway(t *testing.T) {
	sim := modbustest.New()
	sim.MaxConns = 1
	u := byHandUnit(sim)
	file := byHandFile(t, sim.Start(t))
	text, err := os.ReadFile(file)
	if err == nil { // a busy machine is no reason to connect again
		text = bytes.Replace(text, []byte("        points:\n"), []byte("        timeout: 20s\n        points:\n"), 1)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := configs.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	source, err := modbus.New(loaded.Config.Southbound.Modbus, modbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	polled := make(chan struct{}, 1000)
	wg.Go(func() { source.Run(ctx, func(bridge.Batch, func(error)) { polled <- struct{}{} }) })
	<-polled

	dir := string(loaded.Config.Store.Dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	hash := loaded.Hash
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(control.Status{Config: hash, Buses: source.Buses()})
	})
	control.RelayPage.Handle(mux, func(ctx context.Context, r control.Relay) ([]byte, error) { return r.Do(ctx, source) })
	control.WritePage.Handle(mux,
		func(ctx context.Context, w control.Write) (bridge.Written, error) { return w.Do(ctx, source) })
	wg.Go(func() { console.ServeOn(ctx, l, mux) })

	byHand(t, "read "+file+" hall.boiler.supply_temp", "", exitDone, "supply_temp  71.5 ", "")
	byHand(t, "write "+file+" hall.boiler.setpoint 50.5", "y\n", exitDone, "",
		"it is 45.5 now. Write 50.5 °C? [y/N] written")
	if got := u.Get(modbustest.Holding, 5, 1)[0]; got != 505 {
		t.Errorf("holding 5 is %d, want 505", got)
	}
	u.Always(modbustest.Exception(3))
	byHand(t, "write "+file+" hall.boiler.setpoint 60 --yes", "", exitFailed, "", "illegal data value")
	u.Always()
	u.Set(modbustest.Holding, 5, 505)
	hash = "another"
	byHand(t, "write "+file+" hall.boiler.setpoint 60 --yes", "", exitFailed, "",
		"the gateway runs another configuration than this file: 'fieldbridge reload' first")
	if got := u.Get(modbustest.Holding, 5, 1)[0]; got != 505 {
		t.Errorf("holding 5 is %d, want 505", got)
	}
	if n := sim.Accepted(); n != 1 {
		t.Errorf("%d connections, want that of the gateway alone", n)
	}
}
