//go:build linux

package crashtest

import (
	"path/filepath"
	"testing"

	"fieldbridge/minisign"
)

// TestReleases has a real gateway take a release by hand, keep it over a crash, come
// back from one that ends at once, and leave it by hand. It is one process all the time
// that nothing kills it.
func TestReleases(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	t.Parallel() // it mostly waits for other processes
	u := newRig(t, filepath.Join(t.TempDir(), "queue"), 0).updates()
	must := func(words ...string) {
		t.Helper()
		if _, err := u.update(words...); err != nil {
			t.Fatal(err)
		}
	}
	u.start()
	u.runs("1.100.0")
	stranger, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	good := u.real("1.101.0")
	if _, err := u.update("install", pack(t, stranger, good.program, "1.101.0-test").folder(t)); err == nil {
		t.Error("what a stranger signed is on trial")
	}
	must("install", good.folder(t))
	u.runs("1.101.0")
	must("commit")
	u.kill() // it has not ended by itself
	u.start()
	u.runs("1.101.0")

	must("install", pack(t, u.root, u.crashes, "1.102.0-test").folder(t))
	for range 3 { // a service manager starts it each time
		<-u.process.ended
		u.start()
	}
	u.runs("1.101.0")
	answer, err := u.update("status")
	if _, bad := answer.IsBad("1.102.0-test"); err != nil || !bad || answer.Current != "1.101.0-test" {
		t.Errorf("%+v, %v", answer, err)
	}
	must("rollback")
	u.runs("1.100.0")
}
