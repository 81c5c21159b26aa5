//go:build linux

package crashtest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/configs"
	"fieldbridge/gateway/orders"
	"fieldbridge/minisign"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// deployer makes jobs that deploy configurations.
type deployer struct {
	*rig
	service *awsjobs.Service
	key     minisign.SecretKey
	text    string // the configuration at the beginning
	serial  uint64
	trusted []string // begins the command line of a gateway that trusts the account's files

	presigned time.Duration // how long a presigned URL is good; 0 is an hour
}

// deploys has the cloud give jobs, and the gateway take them.
func (r *rig) deploys() *deployer {
	r.t.Helper()
	service := awsjobs.New(r.cloud.Registry())
	r.cloud.Serve(service)
	return r.deploysBy(service)
}

// deploysBy has the gateway take the jobs of a service.
func (r *rig) deploysBy(service *awsjobs.Service) *deployer {
	r.t.Helper()
	d := &deployer{rig: r, service: service}
	var err error
	if d.key, err = minisign.NewSecretKey(); err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(r.file())
	if err == nil {
		d.text = strings.Replace(string(text), "    topic:", "    jobs: [config]\n    topic:", 1) +
			fmt.Sprintf("updates: {keys: [%q]}\n", d.key.Public())
		err = os.WriteFile(r.file(), []byte(d.text), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// next returns another configuration.
func (d *deployer) next() string {
	d.serial++
	return strings.Replace(d.text, `labels: {variant: "`, fmt.Sprintf(`labels: {serial: "%d", variant: "`, d.serial), 1)
}

// deploy creates a job for another configuration: one that works, or one of whose
// device nothing can be read. It returns the job and the hash.
func (d *deployer) deploy(works bool) (job, hash string) {
	d.t.Helper()
	text := d.next()
	if !works {
		text = strings.Replace(text, "unit_id: 1", "unit_id: 99", 1)
	}
	l, err := configs.Parse(d.file(), []byte(text))
	if err != nil {
		d.t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	what, _ := json.Marshal(orders.Deploy{Hash: l.Hash, Confirm: setting.Duration(3 * time.Second),
		YAML: packed.Bytes()})
	return d.create(what, ""), l.Hash
}

// create creates a job for a configuration; file is what stands beside what is signed.
func (d *deployer) create(what []byte, file string) (job string) {
	d.t.Helper()
	e, err := signed.Seal(signed.Order{Operation: "config", Targets: signed.Targets{Gateways: []string{"gateway-1"}},
		Serial: d.serial, NotBefore: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour), What: what}, nil, d.key)
	if err != nil {
		d.t.Fatal(err)
	}
	document, _ := json.Marshal(struct {
		*signed.Envelope
		File json.RawMessage `json:"file,omitempty"`
	}{e, json.RawMessage(file)})
	job = fmt.Sprint("deploy-", d.serial)
	err = d.service.Create(awsjobs.Job{ID: job, Document: string(document), Things: []string{"gateway-1"},
		Presigned: d.presigned})
	if err != nil {
		d.t.Fatal(err)
	}
	return job
}

// ended waits until a job has ended.
func (d *deployer) ended(job string) awsjobs.Execution {
	d.t.Helper()
	var e awsjobs.Execution
	d.eventually("the job has ended", 3*time.Minute, func() bool {
		e = d.service.Executions(job, "")[0]
		return e.Status != awsjobs.InProgress && e.Status != awsjobs.Queued
	})
	return e
}

// runs returns the hash of what the gateway runs, "" if it does not say.
func (d *deployer) runs() string {
	config, _ := d.status()
	return config
}

// status returns the hash of the configuration and the version that a gateway runs, ""
// if it does not say.
func (r *rig) status() (config, version string) {
	res, err := http.Get("http://" + r.console + "/status")
	if err != nil {
		return "", ""
	}
	defer func() { _ = res.Body.Close() }()
	var status struct {
		Config  string `json:"config_hash"`
		Version string `json:"version"`
	}
	_ = json.NewDecoder(res.Body).Decode(&status) // "" says it
	return status.Config, status.Version
}

// running waits until the gateway says what it runs.
func (d *deployer) running() (hash string) {
	d.t.Helper()
	d.eventually("the gateway says what it runs", time.Minute, func() bool { hash = d.runs(); return hash != "" })
	return hash
}

// TestKillsWhileDeploying kills gateways at random instants of jobs that deploy a
// configuration, every third of which does not work. Each job ends in a state that is
// true: SUCCEEDED means that the new one runs, after a restart, too, and FAILED that the
// one before does. What sensors were acknowledged arrives, and the ledger is exact.
func TestKillsWhileDeploying(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 1)
	r.deploys().dieWhileDeploying(3, r.kill)
}

// TestCutsWhileDeploying cuts the power instead: what the disk has not synced is gone.
func TestCutsWhileDeploying(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	k := mountDisk(t)
	r := newRig(t, filepath.Join(k.dir, "queue"), 1)
	r.deploys().dieWhileDeploying(1, func() {
		r.kill()
		k.ask("cut %d", r.rnd.Uint64()>>1)
		r.forget()
	})
}

// dieWhileDeploying has the gateway die so often, or as often as is asked for, at random
// instants of jobs.
func (d *deployer) dieWhileDeploying(few int, die func()) {
	r, t := d.rig, d.t
	t.Helper()
	again := func() {
		die()
		r.total.deaths++
		r.start()
	}
	r.start()
	good := d.running()
	count := map[awsjobs.Status]int{}
	for want := soak(few); r.total.deaths < want && !t.Failed(); {
		works := r.rnd.IntN(3) > 0
		job, hash := d.deploy(works)
		for range 1 + r.rnd.IntN(2) {
			time.Sleep(time.Duration(r.rnd.IntN(6000)) * time.Millisecond)
			again()
		}
		e := d.ended(job)
		count[e.Status]++
		switch {
		case e.Status == awsjobs.Succeeded && works:
			good = hash
		case e.Status != awsjobs.Failed || e.Details["rolled_back"] != "true":
			t.Errorf("%s of one that works: %t: %s %v", job, works, e.Status, e.Details)
		}
		if got := d.running(); got != good {
			t.Errorf("%s is %s %v, and the gateway runs %s, not %s", job, e.Status, e.Details, got, good)
		}
		if r.rnd.IntN(5) == 0 {
			again()
			if got := d.running(); got != good {
				t.Errorf("after a restart the gateway runs %s, not %s", got, good)
			}
		}
	}
	r.settle()
	t.Logf("%d deaths, jobs: %v", r.total.deaths, count)
}
