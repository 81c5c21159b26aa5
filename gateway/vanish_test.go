package gateway

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"fieldbridge/gateway/control"
	"fieldbridge/store/disk"
)

// TestFolderVanishes removes the queue's folder under a running gateway: the folder
// and the control socket are there again within seconds. A gateway whose folder is
// another's then stops.
func TestFolderVanishes(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	g := r.startLogging(t, r.cloud.Addr(), r.device, io.Discard)
	defer r.cancel()
	wait(t, "it is connected", func() bool { return g.Status().Link.Connected })
	wait(t, "all of it is removed", func() bool { return os.RemoveAll(g.dir) == nil }) // it is written to meanwhile
	wait(t, "the control socket answers", func() bool {
		_, err := control.Get(t.Context(), g.dir, "/status")
		return err == nil
	})
	wait(t, "state is kept", func() bool { return g.state.Put("k", []byte("v")) == nil })
	acked := g.Status().Queue.Ledger.Acked.Batches
	wait(t, "readings go on", func() bool { return g.Status().Queue.Ledger.Acked.Batches > acked+5 })

	if err := os.Rename(g.dir, g.dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := disk.MakeDir(g.dir); err != nil {
		t.Fatal(err)
	}
	other, err := disk.Lock(g.dir)
	if err != nil || other == nil {
		t.Fatal(other, err)
	}
	defer func() { _ = other.Close() }()
	if err := <-r.ended; !errors.Is(err, errFolderTaken) {
		t.Errorf("it ended with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(g.dir, "*")); len(left) > 1 {
		t.Errorf("it left %v in the other's folder", left)
	}
}
