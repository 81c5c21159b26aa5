package gateway

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/condition"
	"fieldbridge/ledger"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestRenamedGateway fills a queue as one gateway and delivers it as another, whose labels
// change meanwhile, over its own session and on its own topics: the ledger of what the cloud
// got is exact, and counts for who measured.
func TestRenamedGateway(t *testing.T) {
	r := newStopRig(t)
	if _, err := r.cloud.Device("press-line-9"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got ledger.Ledger
	lines := make(map[string]int) // by what they begin with
	r.cloud.Script(func(m *awsiottest.Message) awsiottest.Verdict {
		mu.Lock()
		defer mu.Unlock()
		if err := got.Add(m.Payload); err != nil {
			t.Error(err)
		}
		if before, _, found := bytes.Cut(m.Payload, []byte(`"batches"`)); found {
			head, _, _ := strings.Cut(string(before), `,"run"`)
			_, labels, _ := strings.Cut(string(before), `"labels"`)
			lines[m.Topic+head+labels]++
		}
		return awsiottest.Verdict{}
	})
	run := func(name, endpoint, site string) *Gateway {
		t.Helper()
		file := filepath.Join(r.dir, "g.yaml")
		text := fmt.Sprintf(`gateway: %[1]s
labels: {site: %[2]s}
northbound: {awsiot: {endpoint: "%[3]s", server_name: localhost, certificate: certs/%[1]s.pem,
    private_key: certs/%[1]s.key, ca: certs/ca.pem, topic: "plant/{gateway}", linger: 0s}}
southbound: {modbus: {buses: {b: {url: "tcp://%[4]s"}},
    devices: {d: {bus: b, every: 100ms, points: {a: {holding: 0}}}}}}
store: {dir: queue}
`, name, site, endpoint, r.device)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return r.run(t, file, io.Discard)
	}
	measured := func(g *Gateway, n uint64) {
		t.Helper()
		accepted := g.queue.Ledger().Accepted.Batches + n
		wait(t, "more is measured", func() bool { return g.queue.Ledger().Accepted.Batches >= accepted })
	}

	g := run("g", "127.0.0.1:9", "brno") // there is no cloud
	measured(g, 5)
	r.stop(t)
	g = run("g", "127.0.0.1:9", "ostrava")
	measured(g, 5)
	r.stop(t)
	g = run("press-line-9", r.cloud.Addr(), "zlin")
	told := false
	for _, c := range g.queue.Health() {
		told = told || c.Code == condition.QueueOfAnother.Code
	}
	wait(t, "what waited is delivered", func() bool {
		l := g.queue.Ledger()
		return l.Acked.Batches >= l.Restored.Batches+5
	})
	wait(t, "the run records are told", func() bool { return len(g.queue.Runs()) == 0 })
	r.stop(t)

	mu.Lock()
	defer mu.Unlock()
	report := got.Report()
	if !report.Kept || report.Unread > 0 || len(report.Runs) != 3 {
		t.Errorf("the ledger: %+v", report)
	}
	of := make(map[string]int)
	for _, run := range report.Runs {
		of[run.Gateway]++
		if len(run.Gaps) > 0 || !run.Began || run.Batches < 5 {
			t.Errorf("run %+v", run)
		}
	}
	if of["g"] != 2 || of["press-line-9"] != 1 {
		t.Errorf("runs of %v", of)
	}
	want := []string{`plant/press-line-9{"v":1,"gateway":"g":{"site":"brno"},`,
		`plant/press-line-9{"v":1,"gateway":"g":{"site":"ostrava"},`,
		`plant/press-line-9{"v":1,"gateway":"press-line-9":{"site":"zlin"},`}
	for _, head := range want {
		if lines[head] == 0 {
			t.Errorf("no message begins as %s: %v", head, lines)
		}
	}
	if len(lines) != len(want) || !told {
		t.Errorf("messages %v; told %v", lines, told)
	}
}
