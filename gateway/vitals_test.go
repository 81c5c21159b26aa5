package gateway

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest"
)

// How the gateway is arrives as readings of a device, which a reload gives another
// name.
func TestHealthArrives(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	var mu sync.Mutex
	var text strings.Builder // guarded by mu
	r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
		mu.Lock()
		defer mu.Unlock()
		text.Write(m.Payload)
		return awsiottest.Verdict{}
	})
	file := filepath.Join(r.dir, "g.yaml")
	write := func(device string) {
		t.Helper()
		content := fmt.Sprintf(`gateway: g
health: {every: 1s, device: %s}
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/g.pem, private_key: certs/g.key,
    ca: certs/ca.pem, topic: t, linger: 0s}}
southbound: {modbus: {buses: {b: {url: "tcp://%s"}}, devices: {d: {bus: b, points: {a: {holding: 0}}}}}}
store: {dir: queue}
`, device, r.cloud.Addr(), r.device)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func(want string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(text.String(), want)
		}
	}
	write("box")
	g := r.run(t, file, io.Discard)
	wait(t, "it is in the catalogue", arrived(`"type":"catalog","at"`))
	wait(t, "it arrives", arrived(`"device":"box"`))
	wait(t, "with what it knows", arrived(`"connected":true`))
	write("cabinet")
	if _, err := g.change.Reload(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	wait(t, "it has another name", arrived(`"device":"cabinet","at"`))
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}
