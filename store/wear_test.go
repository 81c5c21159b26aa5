//go:build linux

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkSensorsInOutage is what a sensor's message costs the flash while there is
// no connection, by the kernel's count: b.N messages, 1,000 and 5,000 a second.
func BenchmarkSensorsInOutage(b *testing.B) {
	for _, rate := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			c := testConfig(filepath.Join(b.TempDir(), "q"))
			c.CommitEvery = 3e9
			q := openQueue(b, c)
			var acked atomic.Int64
			before, commits := writtenBytes(b), q.Status()
			start := time.Now()
			for i := range b.N {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
				q.Append(testBatch(i, 1), func(error) { acked.Add(1) })
			}
			if err := q.Commit(b.Context()); err != nil || acked.Load() != int64(b.N) {
				b.Fatalf("%d of %d are acknowledged: %v", acked.Load(), b.N, err)
			}
			s := q.Status()
			n := float64(b.N)
			b.ReportMetric(float64(writtenBytes(b)-before)/n, "disk-B/message")
			b.ReportMetric(float64(s.Written-commits.Written)/n, "told-B/message")
			b.ReportMetric(float64(writtenBytes(b)-before)/float64(s.Commits-commits.Commits), "disk-B/commit")
			b.ReportMetric(n/float64(s.Commits-commits.Commits), "messages/commit")
		})
	}
}

// TestKernelCountsWhatIsTold: what the queue says that it writes is what the kernel
// counts. Large folios in the page cache made it twice as much.
func TestKernelCountsWhatIsTold(t *testing.T) {
	q := openQueue(t, testConfig(filepath.Join(t.TempDir(), "q")))
	before, told := writtenBytes(t), q.Status().Written
	for i := range 60 {
		for j := range 200 {
			q.Append(testBatch(200*i+j, 1), nil)
		}
		if err := q.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wrote, says := writtenBytes(t)-before, int64(q.Status().Written-told)
	if wrote == 0 {
		t.Skip("no disk here")
	}
	if wrote > says*5/4 {
		t.Errorf("the kernel counts %d bytes, %d are told", wrote, says)
	}
}

// writtenBytes returns what this process has made the kernel write to disks.
func writtenBytes(tb testing.TB) (n int64) {
	tb.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		tb.Skip(err)
	}
	_, rest, _ := strings.Cut(string(data), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		tb.Fatal(err)
	}
	return n
}
