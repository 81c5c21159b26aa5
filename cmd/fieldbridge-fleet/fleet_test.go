package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bundle"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestFleet goes from an empty account to a fleet that runs what the file says, and
// lets a bad file be stopped by its canary.
func TestFleet(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	a.gateways()
	if code, _, told := a.deploy(); code != exitDone || !strings.Contains(told, "rest: 2 of 2 done") {
		t.Fatal("the file was not rolled out")
	}
	all := len(a.Jobs.All())
	if code, _, _ := a.deploy(); code != exitDone || len(a.Jobs.All()) != all || all != 2 {
		t.Errorf("%d jobs, then %d", all, len(a.Jobs.All()))
	}
	if code, out, _ := a.run("status", a.file, "--json"); code != exitDone || strings.Count(out, `"current"`) != 3 {
		t.Error("not all gateways are current")
	}
	a.spoil = func(thing string) bool { return thing == "g1" }
	a.write("fleet.yaml", strings.ReplaceAll(fleetText, "site:", "zone:"))
	if code, _, told := a.deploy(); code != exitStopped || !strings.Contains(told, "boiler.temp") {
		t.Error("the canary did not stop it, or nobody knows why")
	}
	if len(a.Jobs.All()) != all+1 {
		t.Error("a stage was begun after the canary")
	}
	if code, _, _ := a.deploy(); code != exitStopped || len(a.Jobs.All()) != all+1 {
		t.Error("what was bad was rolled out again")
	}
	if code, out, _ := a.run("status", a.file); code != exitDone || !strings.Contains(out, "rolled_back boiler.temp") ||
		!strings.Contains(out, "3 behind") {
		t.Error("status does not tell who rolled back and why")
	}
}

// TestPause: all jobs of the tool end, and those of others go on.
func TestPause(t *testing.T) {
	poll = 5 * time.Millisecond
	a := newAccount(t)
	if code, _, _ := a.run("create", a.file, "--bucket", "files"); code != exitDone {
		t.Fatal("not everything was made")
	}
	if err := a.Jobs.Create(jobs.Job{ID: "other", Document: "{}", Things: []string{"g1"}}); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() { // as soon as the job is there, beside that of others
		for len(a.Jobs.All()) < 2 && t.Context().Err() == nil {
			time.Sleep(poll)
		}
		interrupt()
	}()
	if code, _, _ := a.deployUntil(ctx); code != exitUnder {
		t.Error("a job that nobody takes is over")
	}
	if code, _, _ := a.run("rotate", "--gateway", "g2", "--wait=false", "--key",
		filepath.Join(a.dir, "signing.key")); code != exitDone {
		t.Error("no order was given")
	}
	code, out, _ := a.run("pause", "--force", "--json")
	var told struct{ Canceled []stopped }
	if err := json.Unmarshal([]byte(out), &told); code != exitDone || err != nil || len(told.Canceled) != 2 {
		t.Errorf("%+v, %v", told.Canceled, err)
	}
	for _, j := range a.Jobs.All() {
		if (j.Status == "CANCELED") != (j.ID != "other") {
			t.Errorf("job %s is %s", j.ID, j.Status)
		}
	}
	if code, _, _ := a.run("pause"); code != exitDone {
		t.Error("a second pause is wrong")
	}
}

// TestSecrets: neither a signing key nor what a bundle must not have leaves the machine.
func TestSecrets(t *testing.T) {
	a := newAccount(t)
	key, err := os.ReadFile(filepath.Join(a.dir, "signing.key"))
	if err != nil {
		t.Fatal(err)
	}
	half := a.write("half.key", string(key[:len(key)-20]))
	body := strings.Fields(string(key))[len(strings.Fields(string(key)))-1]
	for _, file := range []string{half, filepath.Join(a.dir, "signing.key")} {
		_, out, errs := a.run("sign", "restart", "--all", "--key", file)
		if strings.Contains(out+errs, body[:20]) {
			t.Errorf("%s: the key is told", file)
		}
	}
	want, err := load(t.Context(), a.file)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := bundle.Unpack(want.packed); err != nil || b.Main != "fleet.yaml" || b.Files["fleet.yaml"] != fleetText {
		t.Errorf("%+v, %v", b, err)
	}
	a.write("fleet.yaml", fleetText+"# -----BEGIN PRIVATE KEY-----\n")
	if code, _, _ := a.deploy("--plan"); code != exitUsage {
		t.Error("a private key would travel")
	}
}
