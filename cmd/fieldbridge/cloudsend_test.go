package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/gateway/control"
)

// TestDesk: what one tries before there is a plant, on the demo: a command from the
// cloud as an execution, which needs no clock, and the same by hand through the
// running gateway.
func TestDesk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	out, errs := &output{}, &output{}
	demo := make(chan int, 1)
	go func() { demo <- dispatch(ctx, []string{"demo", "--dir", dir}, nil, out, errs) }()
	defer func() {
		cancel()
		if code := <-demo; code != exitDone {
			t.Errorf("demo: exit %d: %s%s", code, out, errs)
		}
	}()
	certs, file := filepath.Join(dir, "certs"), filepath.Join(dir, "demo.yaml")
	eventually(t, "the cloud takes orders", 20*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(certs, control.Socket))
		_, running := os.Stat(filepath.Join(dir, "queue", control.Socket))
		return err == nil && running == nil
	})
	eventually(t, "the gateway is connected", 20*time.Second, func() bool {
		return sent(t, certs, "demo-gateway", `{"action":"read","device":"boiler"}`, nil) == exitDone
	})
	for _, tt := range []struct {
		thing, order string
		code         int
		want         string
	}{
		{"demo-gateway", "boiler.setpoint=55", exitDone, "SUCCEEDED DONE\n"},
		{"demo-gateway", "boiler.setpoint=95", exitFailed, "REJECTED REFUSED write boiler setpoint: 95 is above max 80\n"},
		{"demo-gateway", "boiler.setpoint=hot", exitFailed, "REJECTED REFUSED "},
		{"other", "boiler.setpoint=55", exitFailed, "other is not connected: there are demo-gateway\n"},
		{"demo-gateway", "boiler", exitUsage, `"boiler" is no command: write DEVICE.POINT=VALUE`},
		{"demo-gateway", ".setpoint=5", exitUsage, "is no command"},
		{"demo-gateway", "{", exitUsage, "{ is not JSON"},
	} {
		var said bytes.Buffer
		if code := sent(t, certs, tt.thing, tt.order, &said); code != tt.code || !strings.Contains(said.String(), tt.want) {
			t.Errorf("%s %s: exit %d, %q, want %d, %q", tt.thing, tt.order, code, said.String(), tt.code, tt.want)
		}
	}
	byHand(t, "read "+file+" boiler.setpoint", "", exitDone, "setpoint  55  °C  holding 60  425c 0000 = 55\n", "")
	byHand(t, "write "+file+" boiler.setpoint 60 --yes --json", "", exitDone, "\"outcome\": \"done\",", "")
	byHand(t, "write "+file+" boiler.setpoint 10 --yes", "", exitUsage, "", "10 is below min 20")
	var said bytes.Buffer
	if code := sent(t, filepath.Join(dir, "nowhere"), "demo-gateway", "a.b=1", &said); code != exitFailed ||
		!strings.Contains(said.String(), "no stand-in for the cloud runs with that folder") {
		t.Errorf("without a cloud: exit %d, %q", code, said.String())
	}
}

// sent sends an order and returns the exit code.
func sent(t *testing.T, dir, thing, order string, said *bytes.Buffer) int {
	t.Helper()
	timeout := "1m" // of a busy machine
	if said == nil {
		said, timeout = &bytes.Buffer{}, "5s" // what nobody heard is sent again
	}
	return dispatch(t.Context(), []string{"cloud", "send", thing, order, "--dir", dir, "--timeout", timeout}, nil, said,
		said)
}
