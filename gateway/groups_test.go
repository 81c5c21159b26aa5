package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/minisign"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/signed"
)

// TestGroups: what is signed for a group is done by its members and by nobody else. Which
// groups a gateway is of may be deployed; whom it trusts may not.
func TestGroups(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	service := jobs.New(r.cloud.Registry())
	r.cloud.Serve(service)
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.dir, "fleet.yaml")
	err = os.WriteFile(file, fmt.Appendf(nil, `fleet: plant
defaults:
  northbound: {awsiot: {endpoint: "%s", server_name: localhost, certificate: certs/g.pem, private_key: certs/g.key,
    ca: certs/ca.pem, topic: t, jobs: [diagnose]}}
  southbound: {modbus: {buses: {b: {url: "tcp://%s"}}, devices: {d: {bus: b, points: {a: {holding: 0}}}}}}
  store: {dir: queue}
  updates: {keys: [%q]}
groups: {canary: {}, north: {}, south: {}}
gateways:
  g: {groups: [canary, north]}
  h: {groups: [south]}
`, r.cloud.Addr(), r.device, key.Public()), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g := r.run(t, file, io.Discard)
	for i, test := range []struct {
		targets signed.Targets
		want    jobs.Status
	}{
		{signed.Targets{Groups: []string{"north"}}, jobs.Succeeded},
		{signed.Targets{Groups: []string{"south", "canary"}}, jobs.Succeeded},
		{signed.Targets{Groups: []string{"south"}}, jobs.Rejected},
		{signed.Targets{Groups: []string{"g"}}, jobs.Rejected},
		{signed.Targets{Gateways: []string{"canary"}}, jobs.Rejected},
	} {
		id := fmt.Sprint("job-", i)
		e, err := signed.Seal(signed.Order{Operation: "diagnose", Targets: test.targets, Serial: uint64(i) + 1,
			NotBefore: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour)}, nil, key)
		document, _ := json.Marshal(e)
		if err == nil {
			err = service.Create(jobs.Job{ID: id, Document: string(document), Things: []string{"g"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		var became jobs.Execution
		wait(t, id+" has ended", func() bool {
			became = service.Executions(id, "g")[0]
			return became.Status != jobs.Queued && became.Status != jobs.InProgress
		})
		if became.Status != test.want ||
			test.want == jobs.Rejected && !strings.Contains(became.Details["error"], "for others") {
			t.Errorf("an order for %+v: %s %v", test.targets, became.Status, became.Details)
		}
	}

	old, moved, other := *g.change.Config(), *g.change.Config(), *g.change.Config()
	moved.Updates.Groups = []string{"south"}
	other.Updates.Keys = nil
	if err := prove(g)(t.Context(), &old, &moved); err != nil {
		t.Errorf("a gateway is not moved to another group: %v", err)
	}
	if err := prove(g)(t.Context(), &old, &other); !bridge.IsPermanent(err) {
		t.Errorf("the keys are changed by a job: %v", err)
	}
	taken, shut := *g.change.Config(), *g.change.Config()
	taken.Northbound.AWSIoT.Jobs = []string{"restart", "config"}
	shut.Northbound.AWSIoT.Jobs = nil
	if err := prove(g)(t.Context(), &taken, &shut); !bridge.IsPermanent(err) || !strings.Contains(err.Error(), "jobs") {
		t.Errorf("a job shuts all others out: %v", err)
	}
	if err := prove(g)(t.Context(), &shut, &taken); err != nil {
		t.Errorf("jobs are not let in: %v", err)
	}
	r.stop(t)
}
