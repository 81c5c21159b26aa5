package control

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"fieldbridge/bridge"
)

// TestHolding: a gateway is found by the bus that it holds, whatever the bus is called
// and however the gateway was started.
func TestHolding(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	port, alias := filepath.Join(dir, "port"), filepath.Join(dir, "alias")
	if err := os.WriteFile(port, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(port, alias); err != nil {
		t.Fatal(err)
	}
	for queue, bus := range map[string]string{"relative": "rtu://" + port,
		filepath.Join(dir, "whole"): "tcp://127.0.0.1:7"} {
		if err := os.Mkdir(queue, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := Listen(queue)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(Status{Buses: []bridge.BusStatus{{Bus: "plc", Address: bus}}})
		})}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close(); <-served })
	}
	for url, want := range map[string][2]string{
		"rtu://" + port:       {filepath.Join(dir, "relative"), "rtu://" + port},
		"rtu://" + alias:      {filepath.Join(dir, "relative"), "rtu://" + port},
		"ascii://" + port:     {},
		"rtu://" + port + "2": {},
		"tcp://127.0.0.1:7":   {filepath.Join(dir, "whole"), "tcp://127.0.0.1:7"},
		"tcp://127.0.0.1:8":   {},
		"udp://127.0.0.1:7":   {},
		"nothing":             {},
	} {
		if in, bus := Holding(t.Context(), url); in != want[0] || bus != want[1] {
			t.Errorf("%s: held by %q as %q, want %q", url, in, bus, want)
		}
	}
}
