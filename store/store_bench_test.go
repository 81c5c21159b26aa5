package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/terms"
)

// slowSeries returns n batches of 20 points of 5 devices that change slowly,
// one a second each.
func slowSeries(n int) []bridge.Batch {
	rnd := rand.New(rand.NewPCG(5, 6))
	var state [5][20]int64
	names := make([]string, 20)
	for p := range names {
		names[p] = fmt.Sprintf("register_%d", p)
	}
	out := make([]bridge.Batch, n)
	for i := range out {
		d := i % 5
		b := bridge.Batch{Device: fmt.Sprintf("press-%d", d), At: time.UnixMilli(1763887500000 + int64(i/5)*1000 + int64(d)),
			Readings: make([]bridge.Reading, 20)}
		for p := range b.Readings {
			if rnd.IntN(4) == 0 {
				state[d][p] += int64(rnd.IntN(3)) - 1
			}
			b.Readings[p] = bridge.Reading{Point: names[p], Value: bridge.Float32(float32(200+state[d][p]) / 10)}
		}
		out[i] = b
	}
	return out
}

// BenchmarkCommit is `make bench-store`: readings appended and committed, so
// many at a time, beside a plain log of the same blocks that is synced once each.
// It needs a real disk: FIELDBRIDGE_BENCH_DIR, or the folder for temporary files.
func BenchmarkCommit(b *testing.B) {
	for _, readings := range []int{20, 100, 1000, 10000} {
		batches := slowSeries(max(1, readings/20))
		b.Run(fmt.Sprintf("queue/readings=%d", readings), func(b *testing.B) { benchQueue(b, batches, readings) })
		b.Run(fmt.Sprintf("log/readings=%d", readings), func(b *testing.B) { benchLog(b, batches, readings) })
	}
	// One reading a commit.
	one := slowSeries(1)
	one[0].Readings = one[0].Readings[:1]
	b.Run("queue/readings=1", func(b *testing.B) { benchQueue(b, one, 1) })
	b.Run("log/readings=1", func(b *testing.B) { benchLog(b, one, 1) })
}

func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("FIELDBRIDGE_BENCH_DIR"), "fieldbridge-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func benchQueue(b *testing.B, batches []bridge.Batch, readings int) {
	q := openQueue(b, testConfig(benchDir(b)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for i := range batches {
			q.Append(batches[i], nil)
		}
		commitNow(b, q)
		n += readings
	}
	reportCommit(b, n)
	s := q.Status()
	b.ReportMetric(float64(s.Written)/float64(s.Commits), "written-B/commit")
	b.ReportMetric(float64(s.Bytes)/float64(n), "disk-B/reading")
}

func reportCommit(b *testing.B, n int) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "readings/s")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "us/reading")
}

func benchLog(b *testing.B, batches []bridge.Batch, readings int) {
	f, err := os.Create(filepath.Join(benchDir(b), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var e block.Encoder
	n, bytes := 0, 0
	var numberedBatches []block.Numbered
	for b.Loop() {
		numberedBatches = numberedBatches[:0]
		for i := range batches {
			numberedBatches = append(numberedBatches, block.Numbered{Batch: batches[i], Position: bridge.Position(i + 1)})
		}
		h := block.Header{Run: "3k7q9x2m", Seq: 1}
		block, err := e.Encode(&h, numberedBatches)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(block))), block...)); err != nil {
			b.Fatal(err)
		}
		if err := disk.Datasync(f); err != nil {
			b.Fatal(err)
		}
		n, bytes = n+readings, bytes+len(block)
	}
	reportCommit(b, n)
	b.ReportMetric(float64(bytes)/float64(n), "disk-B/reading")
}

// BenchmarkBacklog is a backlog of FIELDBRIDGE_BACKLOG readings (1 million):
// disk, memory, start and drain.
func BenchmarkBacklog(b *testing.B) {
	readings := 1_000_000
	fmt.Sscan(os.Getenv("FIELDBRIDGE_BACKLOG"), &readings)
	c := testConfig(benchDir(b))
	c.CommitEvery = terms.Pace(3 * time.Second)
	q := openQueue(b, c)
	batches := slowSeries(1000) // few: the garbage collector lets memory grow with what is live
	runtime.GC()
	before := anonymous(b)
	start := time.Now()
	for done := 0; done < readings; done += 1000 {
		for i := range 50 {
			q.Append(batches[(done/20+i)%len(batches)], nil)
		}
		if done%16000 == 0 {
			commitNow(b, q)
		}
	}
	commitNow(b, q)
	appended := time.Since(start)
	s := q.Status()
	b.ReportMetric(float64(readings)/appended.Seconds(), "append-readings/s")
	b.ReportMetric(float64(s.Bytes)/float64(readings), "disk-B/reading")
	b.ReportMetric(float64(anonymous(b)-before)/(1<<20), "waiting-MiB")
	q.Close()
	start = time.Now()
	q = openQueue(b, c)
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "open-ms")
	q.Online()
	start = time.Now()
	peak := int64(0)
	for i := 0; q.Ledger().Waiting.Batches > 0; i++ {
		entries, err := q.Next(b.Context(), bridge.Backlog, 256)
		if err != nil {
			b.Fatal(err)
		}
		positions := make([]bridge.Position, len(entries))
		for i := range entries {
			positions[i] = entries[i].Position
		}
		q.Ack(positions...)
		if i%500 == 0 {
			peak = max(peak, anonymous(b))
		}
	}
	b.ReportMetric(float64(readings)/time.Since(start).Seconds(), "drain-readings/s")
	b.ReportMetric(float64(peak-before)/(1<<20), "draining-MiB")
	commitNow(b, q)
	b.ReportMetric(float64(dirSize(b, q.shelf.Dir)), "drained-B")
	b.ReportMetric(0, "ns/op")
}

// anonymous returns the anonymous memory of this process, in bytes.
func anonymous(b *testing.B) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	var kib int64
	for line := range strings.Lines(string(data)) {
		if n, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 && err == nil {
			break
		}
	}
	return kib << 10
}
