package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/store/state"
)

// What a gateway learnt of its devices is told by check, beside it.
func TestCheckTellsWhatWasLearnt(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(1).Only(modbustest.Holding, 0, 10)
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	err := os.WriteFile(file, fmt.Appendf(nil, `
gateway: press-line-2
northbound:
  awsiot: {endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com, certificate: a.pem, private_key: a.key,
    topic: "plant/{gateway}"}
southbound:
  modbus:
    devices:
      press: {url: "tcp://%s", every: 50ms, points: {good: {holding: 1}, gone: {holding: 12}}}
`, sim.Start(t)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := configs.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	queue := string(loaded.Config.Store.Dir)
	saved, err := state.Open(queue)
	if err != nil {
		t.Fatal(err)
	}
	source, err := modbus.New(loaded.Config.Southbound.Modbus, modbus.Options{State: saved})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), busy*20*time.Second)
	defer cancel()
	err = source.Run(ctx, func(b bridge.Batch, _ func(error)) {
		for _, r := range b.Readings {
			if r.Point == "gone" && r.Value.Reason() == bridge.ReasonGivenUp {
				cancel()
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.Close(); err != nil { // what was learnt is noted
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := dispatch(t.Context(), []string{"check", file}, nil, &stdout, &stderr); code != exitDone {
		t.Fatalf("%d: %s", code, stderr.String())
	}
	for _, want := range []string{"learnt of press: refuses holding 12+1",
		"not read, as their device refuses them: press.gone\n", "1 holding register "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not in\n%s", want, stdout.String())
		}
	}
}
