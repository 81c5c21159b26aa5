//go:build linux

package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkCommitOnDevice counts what the disk is asked to do for a commit, on an
// ext4 file system of its own in a file: its journal is counted, too. It needs
// root. Unlike times, this is the same in each run.
func BenchmarkCommitOnDevice(b *testing.B) {
	for _, readings := range []int{1, 100, 1000, 10000} {
		batches := slowSeries(max(1, readings/20))
		if readings == 1 {
			batches[0].Readings = batches[0].Readings[:1]
		}
		b.Run(fmt.Sprintf("queue/readings=%d", readings), func(b *testing.B) {
			count := onDevice(b)
			q := openQueue(b, testConfig(benchDir(b)))
			n := 0
			for b.Loop() {
				for i := range batches {
					q.Append(batches[i], nil)
				}
				commitNow(b, q)
				n++
			}
			count(n)
		})
		b.Run(fmt.Sprintf("log/readings=%d", readings), func(b *testing.B) {
			count := onDevice(b)
			log := plainLog{}
			var err error
			if log.f, err = os.CreateTemp(benchDir(b), "log"); err != nil {
				b.Fatal(err)
			}
			defer log.f.Close()
			n := 0
			for b.Loop() {
				log.append(b, batches)
				n++
			}
			count(n)
		})
	}
}

// onDevice lets benchDir be on a file system of its own, and returns what reports
// the work of its device for n commits.
func onDevice(b *testing.B) (count func(n int)) {
	dir, device := mountExt4(b, "2G")
	b.Setenv("FIELDBRIDGE_BENCH_DIR", dir)
	read := func() (f [17]float64) {
		d, err := os.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		if err := unix.Syncfs(int(d.Fd())); err != nil {
			b.Fatal(err)
		}
		data, err := os.ReadFile("/sys/block/" + device + "/stat")
		if err != nil {
			b.Fatal(err)
		}
		for i, word := range strings.Fields(string(data)) {
			f[i], _ = strconv.ParseFloat(word, 64)
		}
		return f
	}
	before := read()
	return func(n int) {
		after := read()
		per := func(i int) float64 { return (after[i] - before[i]) / float64(n) }
		b.ReportMetric(per(4), "writes/commit")
		b.ReportMetric(per(6)/2, "KiB/commit") // sectors of 512 bytes
		b.ReportMetric(per(15), "flushes/commit")
		b.ReportMetric(0, "ns/op")
	}
}
