package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// BenchmarkBacklogOpen opens folders of 100 MiB and 1 GiB, stopped cleanly and killed,
// with their files in the page cache and not. The times are those of [Open]
// alone.
func BenchmarkBacklogOpen(b *testing.B) {
	for _, mib := range []int{100, 1024} {
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) {
			stopped, killed := bigFolders(b, int64(mib)<<20)
			b.Run("stopped", func(b *testing.B) { benchOpen(b, stopped, false) })
			b.Run("stopped/cold", func(b *testing.B) { benchOpen(b, stopped, true) })
			b.Run("killed", func(b *testing.B) { benchOpen(b, killed, false) })
			b.Run("killed/cold", func(b *testing.B) { benchOpen(b, killed, true) })
		})
	}
}

func bigConfig(dir string) terms.Config {
	c := testConfig(dir)
	c.MaxSize, c.MinFree = 4<<30, 0
	c.SegmentSize = 32 << 20
	return c
}

// bigFolders makes a queue of size bytes, and returns its folder as it is after
// a clean stop, and as it is after a kill.
func bigFolders(b *testing.B, size int64) (stopped, killed string) {
	b.Helper()
	stopped, killed = filepath.Join(benchDir(b), "q"), benchDir(b)
	q := openQueue(b, bigConfig(stopped))
	rnd := rand.New(rand.NewPCG(1, 2))
	enough := func() bool {
		s := q.Inspect().Segments // the newest is what a killed queue reads: let it be large
		return len(s) > 0 && q.Status().Bytes >= size && s[len(s)-1].Bytes >= 24<<20
	}
	for i := 0; i%16 != 0 || !enough(); i++ {
		batch := bridge.Batch{Device: "camera", At: time.UnixMilli(1763887500000 + int64(i)),
			Readings: make([]bridge.Reading, 32)}
		for j := range batch.Readings {
			var text strings.Builder
			for range 512 {
				text.WriteByte(byte(' ' + rnd.IntN(90)))
			}
			batch.Readings[j] = bridge.Reading{Point: pointNames[j], Value: bridge.String(text.String())}
		}
		q.Append(batch, nil)
		if i%16 == 15 {
			commitNow(b, q)
		}
	}
	names, err := os.ReadDir(stopped)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range names {
		from, to := filepath.Join(stopped, e.Name()), filepath.Join(killed, e.Name())
		if strings.HasPrefix(e.Name(), folder.SegmentPrefix) {
			err = os.Link(from, to) // it is not written any more
		} else if data, e := os.ReadFile(from); e == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
	return stopped, killed
}

func benchOpen(b *testing.B, dir string, cold bool) {
	keep := map[string][]byte{} // what a start changes
	for _, name := range []string{folder.IndexFile, "acks"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		keep[name] = data
	}
	var times []time.Duration
	waiting := bridge.Count{}
	for b.Loop() {
		for name, data := range keep {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		if cold {
			dropCache(b, dir)
		}
		start := time.Now()
		q := openQueue(b, bigConfig(dir))
		times = append(times, time.Since(start))
		if n := q.Ledger().Waiting; waiting != (bridge.Count{}) && n != waiting || n.Batches == 0 {
			b.Fatalf("%+v wait, then %+v", waiting, n)
		} else {
			waiting = n
		}
		q.Close()
	}
	b.ReportMetric(float64(dirSize(b, dir))/(1<<20), "MiB")
	b.ReportMetric(float64(median(times).Microseconds())/1000, "open-ms")
	b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "slowest-ms")
	b.ReportMetric(0, "ns/op")
}

// dropCache lets the kernel forget what it has of the files in dir.
func dropCache(b *testing.B, dir string) {
	b.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range names {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // a folder
		}
		unix.Fsync(int(f.Fd()))
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
