//go:build linux

package crashtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/identity/kept"
)

const fleetTemplate = `{
	"Parameters": {"GatewayName": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
	"Resources": {
		"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "GatewayName"}},
			"OverrideSettings": {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING"}},
		"certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
			"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}},
		"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "gateways"}}}}`

// provisions has the cloud provision by a claim, which is returned.
func (r *rig) provisions() (claim awsiottest.Identity) {
	r.t.Helper()
	s := authority.New(r.cloud.Registry(), r.cloud.Authority())
	r.cloud.Serve(s)
	err := r.cloud.Registry().AddPolicy("gateways",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)
	if err == nil {
		err = s.AddTemplate(authority.Template{Name: "line", Body: fleetTemplate})
	}
	if err == nil {
		claim, err = r.cloud.Authority().Issue("claim", awsiottest.Terms{})
	}
	if err == nil {
		_, err = s.AdmitClaim(claim.Certificate, "line")
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.claim = filepath.Join(r.dir, "claim")
	return claim
}

// newcomer gives the gateway an empty folder and a claim.
func (r *rig) newcomer(claim awsiottest.Identity) {
	r.t.Helper()
	r.forget()
	for _, dir := range []string{r.queue, r.claim} {
		if err := os.RemoveAll(dir); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Mkdir(r.claim, 0o700); err != nil {
		r.t.Fatal(err)
	}
	for from, to := range map[string]string{claim.Certificate: "c.pem.crt", claim.PrivateKey: "c.pem.key"} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.claim, to), data, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.configure()
}

// certificates counts those that the cloud has, by state.
func (r *rig) certificates() map[registry.Status]int {
	count := make(map[registry.Status]int)
	for _, c := range r.cloud.Registry().Certificates() {
		count[c.Status]++
	}
	return count
}

// proven waits until the gateway has one identity that works, and returns its id.
func (r *rig) proven() string {
	r.t.Helper()
	var id string
	r.eventually("the gateway has an identity that works", 3*time.Minute, func() bool {
		s := kept.In(r.queue)
		current, err := s.Get(kept.Current)
		next, e := s.Get(kept.Next)
		if err != nil || e != nil || current == nil || next != nil {
			return false
		}
		id = current.ID()
		return r.cloud.Registry().Status(id) == registry.Active
	})
	return id
}

// TestKillsWhileProvisioning kills gateways at random instants between their first start
// and their first message, and at random instants of a rotation. Each ends with one
// identity that works; each kill leaves at most one certificate at the cloud that was
// never registered, which the cloud deletes after an hour. What sensors were acknowledged
// arrives, and the ledger is exact.
func TestKillsWhileProvisioning(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 2)
	r.runtime, _ = mountSmall(t, 12<<20) // for the journal, so that no poll is lost either
	r.exact = true
	claim := r.provisions()
	lives, rotations := 0, 0
	for want := soak(3); r.total.deaths < want && !t.Failed(); lives++ {
		r.newcomer(claim)
		before, died := r.certificates(), 0
		for range 1 + r.rnd.IntN(4) {
			r.start()
			time.Sleep(time.Duration(r.rnd.IntN(3000)) * time.Millisecond)
			r.kill()
			died++
		}
		r.start()
		first := r.proven()
		after := r.certificates()
		if n := after[registry.Active] - before[registry.Active]; n != 1 {
			t.Errorf("after %d kills the cloud has %d active certificates of this gateway", died, n)
		}
		if n := after[registry.PendingActivation] - before[registry.PendingActivation]; n > died {
			t.Errorf("after %d kills %d certificates wait for their end", died, n)
		}
		r.eventually("the claim is gone", 20*time.Second, func() bool {
			all, err := os.ReadDir(r.claim)
			return err == nil && len(all) == 0
		})
		before = r.certificates()
		// The kill hits the request, the answers, or the minute before the trial.
		r.eventually("the gateway is connected", 60*time.Second, func() bool {
			m := r.metrics()
			return m != nil && m["fieldbridge_uplink_connected"] == 1
		})
		asked := exec.Command(program, "identity", "rotate", r.file())
		if err := asked.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.rnd.IntN(1500)) * time.Millisecond)
		r.kill()
		died++
		_ = asked.Wait() // it was told that the gateway is gone
		r.start()
		second := r.proven()
		after = r.certificates()
		if second != first {
			rotations++
		}
		goesOn, err := kept.In(r.queue).Draft(kept.Rotation) // registered, and the kill came before that was known
		if err != nil {
			t.Fatal(err)
		}
		n := after[registry.Active] - before[registry.Active]
		if n > 1 || n == 1 && second == first && goesOn == nil {
			t.Errorf("a rotation that was cut left %d more active certificates; a new one is used: %t", n,
				second != first)
		}
		r.total.deaths += died
		r.awaitStart()
		r.settle()
	}
	t.Logf("%d lives, %d kills, %d rotations that went on after one: %v", lives, r.total.deaths, rotations,
		r.certificates())
}
