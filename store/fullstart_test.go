package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// fill takes all room of a small file system.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{64 << 10, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
	}
}

// TestFullDiskRunIsKnown begins on a disk that is full, without a journal: as soon as
// there is a little room the run stands in the index, before the readings take it.
func TestFullDiskRunIsKnown(t *testing.T) {
	for _, seconds := range []int{100, 107, 114, 121} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) { testFullDiskRunIsKnown(t, seconds) })
	}
}

func testFullDiskRunIsKnown(t *testing.T, seconds int) {
	dir := mountSmall(t, "1m")
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(filepath.Join(dir, "q"))
		c.CommitEvery, c.Journal, c.MinFree = terms.Pace(time.Second), "off", 0
		c.Dir = setting.Path(dir + "/q")
		if err := os.Mkdir(dir+"/q", 0o700); err != nil {
			t.Fatal(err)
		}
		fill(t, dir+"/ballast")
		q, err := Open(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		for i := range seconds {
			q.Append(testBatch(i, 100), nil)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if m, _, err := folder.ReadIndex(dir + "/q"); err != nil || m.Runs.Named(q.Run()) != nil {
			t.Fatalf("the run is on a disk that is full, %v", err)
		}
		info, err := os.Stat(dir + "/ballast")
		if err != nil {
			t.Fatal(err)
		}
		// Room for the index, and for nothing else.
		if err := os.Truncate(dir+"/ballast", (info.Size()-8<<10)/4096*4096); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if m, _, err := folder.ReadIndex(dir + "/q"); err != nil || m.Runs.Named(q.Run()) == nil {
			t.Errorf("3 s after there is room the run is not known, %v", err)
		}
		if s := q.Status(); s.Commits != 0 || !s.Ledger.Balanced() {
			t.Errorf("status %+v", s)
		}
		if err := os.Remove(dir + "/ballast"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := q.Status(); s.Memory.Batches != 0 {
			t.Errorf("with room: %+v", s)
		}
	})
}
