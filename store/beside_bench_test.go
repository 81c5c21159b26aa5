package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/terms"
)

// BenchmarkCommitBesideLog commits to the queue and to a plain log of the same
// blocks in turn, so that what else runs on the machine slows both. With
// "stream" 16 commits' worth is appended at once, so that the next block can be
// made while one is written. Reported are medians: a slow sync of the disk is in
// one of them or the other by chance.
//
//	x-log      the queue's time by the log's, which makes its blocks, too
//	x-written  the same by the log's without making them
func BenchmarkCommitBesideLog(b *testing.B) {
	for _, readings := range []int{1, 100, 1000, 10000} {
		for _, at := range []int{1, 16} {
			name := fmt.Sprintf("readings=%d", readings)
			if at > 1 {
				if at*readings > terms.DefaultMemory/256 {
					continue // it would be committed before it is asked to
				}
				name += "/stream"
			}
			b.Run(name, func(b *testing.B) { benchBeside(b, readings, at) })
		}
	}
}

func benchBeside(b *testing.B, readings, at int) {
	batches := slowSeries(max(1, readings/20))
	if readings == 1 {
		batches[0].Readings = batches[0].Readings[:1]
	}
	q := openQueue(b, testConfig(benchDir(b)))
	q.keep.block.Readings = uint64(readings)
	log := plainLog{}
	var err error
	if log.f, err = os.Create(filepath.Join(benchDir(b), "log")); err != nil {
		b.Fatal(err)
	}
	defer log.f.Close()
	var queueTimes, logTimes, written []time.Duration
	var queueCPU, logCPU time.Duration
	for b.Loop() {
		start, cpu := time.Now(), cpuTime(b)
		for range at {
			for i := range batches {
				q.Append(batches[i], nil)
			}
		}
		commitNow(b, q)
		queueTimes, queueCPU = append(queueTimes, time.Since(start)), queueCPU+cpuTime(b)-cpu
		start, cpu = time.Now(), cpuTime(b)
		inSync := time.Duration(0)
		for range at {
			inSync += log.append(b, batches)
		}
		logTimes, logCPU = append(logTimes, time.Since(start)), logCPU+cpuTime(b)-cpu
		written = append(written, inSync)
	}
	if s := q.Status(); s.Commits != uint64(at*len(queueTimes)) {
		b.Fatalf("%d commits in %d rounds of %d", s.Commits, len(queueTimes), at)
	}
	commits := float64(at)
	b.ReportMetric(float64(median(queueTimes).Microseconds())/commits, "queue-us/commit")
	b.ReportMetric(float64(median(logTimes).Microseconds())/commits, "log-us/commit")
	b.ReportMetric(float64(median(queueTimes))/float64(median(logTimes)), "x-log")
	b.ReportMetric(float64(median(queueTimes))/float64(median(written)), "x-written")
	all := float64(len(queueTimes) * at * readings)
	b.ReportMetric(float64(queueCPU.Nanoseconds())/1000/all, "queue-cpu-us/reading")
	b.ReportMetric(float64(logCPU.Nanoseconds())/1000/all, "log-cpu-us/reading")
	b.ReportMetric(0, "ns/op")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// plainLog is an append-only file of blocks that is synced after each.
type plainLog struct {
	f       *os.File
	encoder block.Encoder
	batches []block.Numbered
}

// append encodes, writes and syncs a block, and returns the time of the latter two.
func (l *plainLog) append(b *testing.B, batches []bridge.Batch) time.Duration {
	l.batches = l.batches[:0]
	for i := range batches {
		l.batches = append(l.batches, block.Numbered{Batch: batches[i], Position: bridge.Position(i + 1)})
	}
	h := block.Header{Run: "3k7q9x2m", Seq: 1}
	block, err := l.encoder.Encode(&h, l.batches)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if _, err := l.f.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(block))), block...)); err != nil {
		b.Fatal(err)
	}
	if err := disk.Datasync(l.f); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// cpuTime returns the user and system time of this process.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
