package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"fieldbridge/condition"
	"fieldbridge/store/disk"
)

// TestMisplaced: where the folder lies is a condition, which follows the folder.
func TestMisplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(filepath.Join(t.TempDir(), "q"))
		q := openQueue(t, c)
		var place atomic.Value
		look := func(dir string) disk.Place {
			if dir != string(c.Dir) {
				t.Errorf("asked for %s", dir)
			}
			return place.Load().(disk.Place)
		}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			h := q.Health()
			if want == "" && len(h) == 0 {
				return
			}
			if len(h) != 1 || h[0].Code != condition.QueueMisplaced.Code || !strings.Contains(h[0].Text, want) {
				t.Fatalf("%+v, want %q", h, want)
			}
		}
		place.Store(disk.Place{Kind: disk.InMemory, Type: "tmpfs"})
		is("")
		q.LookWith(look)
		is("a restart of the machine takes all that waits")
		remade := func(p disk.Place) {
			place.Store(p)
			if err := os.RemoveAll(string(c.Dir)); err != nil {
				t.Fatal(err)
			}
			if err := q.keep.ask(t.Context(), func() error { q.keep.keepFolder(); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		remade(disk.Place{Kind: disk.InLayer, Type: "overlay"})
		is("mount a volume there")
		remade(disk.Place{})
		is("")
		remade(disk.Place{Kind: disk.ReadOnly, Type: "ext4"}) // what cannot be written says so itself
		is("")
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		q.LookWith(look) // after the end it hangs nobody
	})
}
