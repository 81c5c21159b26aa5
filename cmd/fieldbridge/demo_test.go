package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fieldbridge/needtest"
)

// TestDemo runs the demo with an outage: everything must arrive.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	dir := t.TempDir()
	code := dispatch(t.Context(), []string{"demo", "--outage", "2s", "--dir", dir}, nil, &out, &errs)
	if code != exitDone || errs.Len() > 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	text := out.String()
	for _, want := range []string{"The gateway's page: http://127.0.0.1:", "link: up for",
		"link: CUT, the cloud is back in"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	ledger := regexp.MustCompile(`The ledger: ([\d,]+) readings accepted \+ 0 found = ([\d,]+) acknowledged ` +
		`\+ 0 dropped \+ 0 damaged \+ 0 dead letters \+ 0 waiting\nThe cloud has ([\d,]+) of them`)
	m := ledger.FindStringSubmatch(text)
	if m == nil || m[1] != m[2] || m[1] != m[3] {
		t.Errorf("not everything arrived:\n%s", text[strings.LastIndex(text, "\n\n")+1:])
	}
	if log, err := os.ReadFile(filepath.Join(dir, "gateway.log")); err != nil ||
		strings.Contains(string(log), "level=ERROR") {
		t.Errorf("log: %v\n%s", err, log)
	}
}

// endpointOf returns the endpoint that a configuration names.
func endpointOf(t *testing.T, config string) string {
	t.Helper()
	_, rest, ok := strings.Cut(config, "endpoint: ")
	endpoint, _, more := strings.Cut(rest, "\n")
	if !ok || !more {
		t.Fatalf("no endpoint: %s", config)
	}
	return endpoint
}

// TestCloud runs the stand-in and a gateway against it, as a newcomer does.
func TestCloud(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	out, errs := &output{}, &output{}
	cloud := make(chan int, 1)
	go func() {
		cloud <- dispatch(ctx, []string{"cloud", "--listen", "127.0.0.1:0", "--dir", dir, "--thing", "g"}, nil, out, errs)
	}()
	eventually(t, "the cloud tells the configuration", 10*time.Second,
		func() bool { return strings.Contains(errs.String(), "What is published follows") })
	config := errs.String()
	config = config[strings.Index(config, "gateway: g"):strings.Index(config, "\nWhat is published")]
	var again bytes.Buffer
	if code := dispatch(ctx, []string{"cloud", "--listen", endpointOf(t, config), "--dir", dir}, nil, &again,
		&again); code != exitFailed ||
		!strings.Contains(again.String(), "choose another port with --listen") {
		t.Errorf("a second cloud: exit %d: %s", code, again.String())
	}
	config += "store: {dir: " + dir + "/queue}\nsouthbound:\n  modbus:\n    buses: {plc: {url: \"tcp://" +
		needtest.Address(t) + "\"}}\n" +
		"    devices: {boiler: {bus: plc, points: {t: {input: 0}}}}\n"
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	gatewayContext, stop := context.WithCancel(ctx)
	gateway := make(chan int, 1)
	log := &output{}
	go func() { gateway <- dispatch(gatewayContext, []string{"run", file}, nil, log, log) }()
	// Nothing listens where the device should be.
	eventually(t, "the reading arrives", 20*time.Second,
		func() bool { return strings.Contains(out.String(), `"bad":{"t":"refused"}`) })
	var sensors bytes.Buffer
	if code := dispatch(ctx, []string{"sensors", file}, nil, &sensors, log); code != exitDone ||
		sensors.String() != "no message has come yet\n" {
		t.Errorf("sensors: %d, %s", code, sensors.String())
	}
	stop()
	if code := <-gateway; code != exitDone {
		t.Errorf("gateway: exit %d: %s", code, log)
	}
	cancel()
	if code := <-cloud; code != exitDone || !strings.Contains(errs.String(), "messages accepted") {
		t.Errorf("cloud: exit %d: %s", code, errs)
	}
}
