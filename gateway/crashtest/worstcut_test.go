//go:build linux

package crashtest

import (
	"path/filepath"
	"testing"

	"fieldbridge/northbound/awsiot/accounttest"
	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// TestWorstCutAfterDeploying: after the first job that a gateway was given has
// succeeded, a power cut takes everything that is not synced; it is true still.
func TestWorstCutAfterDeploying(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	for _, by := range []string{"order", "stream"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel() // it mostly waits for other processes
			k := mountDisk(t)
			r := newRig(t, filepath.Join(k.dir, "queue"), 1)
			account, err := accounttest.Around(r.cloud, "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := account.Close(); err != nil {
					t.Error(err)
				}
			})
			d := r.deploysBy(account.Jobs)
			r.start()
			before, job := d.running(), ""
			if by == "order" {
				job, _ = d.deploy(true)
			} else {
				job, _ = d.fetched(account, by, true)
			}
			e := d.ended(job)
			hash := d.running()
			if e.Status != awsjobs.Succeeded || hash == before {
				t.Fatalf("%s %v, and the gateway runs %s", e.Status, e.Details, hash)
			}
			r.kill()
			k.ask("cut worst")
			r.forget()
			// What was good last is in the state, too; it must not be needed.
			if names, _ := filepath.Glob(filepath.Join(r.queue, "deployed", "*", "gateway.yaml")); len(names) != 1 {
				t.Errorf("of what was deployed there is %q", names)
			}
			r.start()
			if got := d.running(); got != hash {
				t.Errorf("after a power cut the gateway runs %s, not %s", got, hash)
			}
			r.settle()
		})
	}
}

// TestWorstCutAfterUpdating: so it is after the first release.
func TestWorstCutAfterUpdating(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	k := mountDisk(t)
	u := newRig(t, filepath.Join(k.dir, "queue"), 1).updates()
	u.keepsIn(k)
	u.start()
	u.runs("1.100.0")
	u.became(u.order(u.real("1.101.0"), usual), awsjobs.Succeeded, "")
	u.runs("1.101.0")
	u.die()
	k.ask("cut worst")
	u.forget()
	u.start()
	u.runs("1.101.0")
	u.settle()
}
