package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestRestartAwaitsCommand: a job that ends the process waits for the command that is
// under way.
func TestRestartAwaitsCommand(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	service := jobs.New(r.cloud.Registry())
	r.cloud.Serve(service)
	file := filepath.Join(r.dir, "g.yaml")
	err := os.WriteFile(file, fmt.Appendf(nil, `gateway: g
northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/g.pem, private_key: certs/g.key,
    ca: certs/ca.pem, topic: t, jobs: [restart]}}
southbound: {modbus: {buses: {b: {url: "tcp://%s"}}, devices: {d: {bus: b, points: {a: {holding: 0}}}}}}
store: {dir: queue}
`, r.cloud.Addr(), r.device), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g := r.run(t, file, io.Discard)
	resume, err := g.sink.HoldCommands(t.Context()) // as a command does that is carried out
	if err == nil {
		err = service.Create(jobs.Job{ID: "job", Document: `{"operation":"restart"}`, Things: []string{"g"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the job has begun", func() bool { return g.sink.Jobs().ID == "job" })
	select {
	case err := <-r.ended:
		t.Fatalf("the gateway ended in the middle of a command: %v", err)
	case <-time.After(500 * time.Millisecond): // it would end in much less
	}
	if e := service.Executions("job", "g")[0]; e.Details["step"] != "" {
		t.Errorf("the job is at step %s already", e.Details["step"])
	}
	resume()
	if err := <-r.ended; !errors.Is(err, ErrRestart) {
		t.Errorf("the gateway ended: %v", err)
	}
	r.cancel()
}
