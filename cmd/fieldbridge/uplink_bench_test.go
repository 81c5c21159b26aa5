package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
	"fieldbridge/store"
	"fieldbridge/store/terms"
)

// BenchmarkUplink measures the way of readings from the queue on disk to the
// cloud's PUBACK over mutual TLS:
//
//	go test -run '^$' -bench Uplink -benchtime 1x ./cmd/fieldbridge
//
// The stand-in is a process of its own: CPU seconds and allocations are the
// client's alone. Limits of rate are lifted. "live" readings are appended while
// the connection is up, and mostly acknowledged from memory; a "backlog" is
// committed before, closed, opened again and read back.
func BenchmarkUplink(b *testing.B) {
	for _, points := range []int{20, 1000} {
		for _, format := range []payload.Format{payload.Rows, payload.Columns, payload.Flat, payload.Protobuf} {
			for _, backlog := range []bool{false, true} {
				if format == payload.Flat && points == 20 {
					continue // a message per 20 readings: TestCost tells what that is
				}
				name := fmt.Sprintf("%s/10x%d/live", format, points)
				if backlog {
					name = strings.Replace(name, "live", "backlog", 1)
				}
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						measureUplink(b, format, points, backlog)
					}
				})
			}
		}
	}
}

// uplinkReadings is how many readings one iteration sends.
const uplinkReadings = 1_000_000

func measureUplink(b *testing.B, format payload.Format, points int, backlog bool) {
	dir := b.TempDir()
	u := newUplink(b, dir, startCloud(b, dir), format)
	batches := emittedBatches(points)
	count := 0
	if backlog {
		for i := 0; count < uplinkReadings; i++ {
			count += u.emit(batches[i%len(batches)], i/len(batches))
			if u.queue.Ledger().Waiting.Readings%50_000 == 0 {
				if err := u.queue.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		}
		u.close(b)
		u.open(b)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	up := make(chan struct{}, 100)
	serve := func(ctx context.Context, link bridge.Link) {
		up <- struct{}{}
		u.forwarder.Serve(ctx, link)
	}
	var before, after runtime.MemStats
	if backlog { // connecting is measured, too
		runtime.GC()
		runtime.ReadMemStats(&before)
	}
	start, cpu := time.Now(), processCPU()
	go func() { defer close(ended); _ = u.sink.Run(ctx, serve) }()
	<-up
	if !backlog {
		runtime.GC()
		runtime.ReadMemStats(&before)
		start, cpu = time.Now(), processCPU()
		for i := 0; count < uplinkReadings; i++ {
			count += u.emit(batches[i%len(batches)], i/len(batches))
			for u.queue.Ledger().Waiting.Readings > 100_000 {
				time.Sleep(time.Millisecond) // the field has a pace, too
			}
		}
	}
	for u.queue.Ledger().Waiting.Batches > 0 {
		time.Sleep(time.Millisecond)
	}
	used, took := processCPU()-cpu, time.Since(start)
	runtime.ReadMemStats(&after)
	if l := u.queue.Ledger(); l.Acked.Readings != uint64(count) {
		b.Fatalf("%d of %d readings were acknowledged: %+v", l.Acked.Readings, count, l)
	}
	cancel()
	<-ended
	u.close(b)
	million := float64(count) / 1e6
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(used.Seconds()/million, "cpu-s/Mreadings")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/million, "allocs/Mreadings")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/million/(1<<20), "MiB/Mreadings")
	b.ReportMetric(float64(count)/took.Seconds(), "readings/s")
}

// uplink is a gateway's way to the cloud: collector, queue, forwarder, session.
type uplink struct {
	config    awsiot.Config
	dir       string
	queue     *store.Queue
	collector *bridge.Collector
	forwarder *bridge.Forwarder
	sink      *awsiot.Sink
}

func newUplink(b *testing.B, dir, addr string, format payload.Format) *uplink {
	u := &uplink{dir: dir}
	u.config.SetDefaults()
	file := func(name string) setting.Path { return setting.Path(filepath.Join(dir, "certs", name)) }
	u.config.Endpoint, u.config.ServerName = addr, "localhost"
	u.config.Certificate, u.config.PrivateKey, u.config.CA = file("load.pem"), file("load.key"), file("ca.pem")
	u.config.Topic, u.config.Format = "load/{gateway}", format
	u.config.Rate.Messages, u.config.Rate.Bytes = 0, 0
	if format == payload.Columns || format == payload.Protobuf {
		u.config.MaxMessage = 40_000
	}
	u.open(b)
	return u
}

func (u *uplink) open(b *testing.B) {
	var cfg terms.Config
	cfg.SetDefaults()
	cfg.Dir = setting.Path(filepath.Join(u.dir, "queue"))
	log := slog.New(slog.DiscardHandler)
	var err error
	if u.queue, err = store.Open(cfg, log); err != nil {
		b.Fatal(err)
	}
	if u.sink, err = awsiot.New(u.config,
		awsiot.Options{Gateway: "load", Run: u.queue.Run(), Log: log, Notices: u.queue}); err != nil {
		b.Fatal(err)
	}
	u.collector = bridge.NewCollector(u.queue, u.sink.Format(), new(bridge.Catalogue), func() bool { return true }, log)
	u.forwarder = bridge.NewForwarder(u.queue, u.sink.Format(),
		bridge.ForwardConfig{Linger: u.config.Linger.D(), LiveShare: float64(u.config.LiveShare)}, log)
}

func (u *uplink) close(b *testing.B) {
	if err := u.queue.Close(); err != nil {
		b.Fatal(err)
	}
}

// emit emits a batch of a cycle and returns how many readings it has.
func (u *uplink) emit(batch bridge.Batch, cycle int) int {
	batch.At = batch.At.Add(time.Duration(cycle) * time.Second)
	u.collector.Emit(batch, nil)
	return len(batch.Readings)
}

// emittedBatches returns what ten devices of 16-bit registers emit in ten
// seconds. Nobody changes the readings, so they can be emitted again.
func emittedBatches(points int) []bridge.Batch {
	random := rand.New(rand.NewPCG(1, 1))
	names := make([]string, points)
	for p := range names {
		names[p] = fmt.Sprint("register_", p)
	}
	var all []bridge.Batch
	for c := range 10 {
		for d := range 10 {
			batch := bridge.Batch{Device: fmt.Sprint("device-", d), At: time.UnixMilli(1763887500123 + int64(c)*1000)}
			for p := range points {
				batch.Readings = append(batch.Readings,
					bridge.Reading{Point: names[p], Value: bridge.Uint(uint64(random.IntN(1 << 16)))})
			}
			all = append(all, batch)
		}
	}
	return all
}

// startCloud runs the stand-in in a process of its own and returns its address.
func startCloud(b *testing.B, dir string) string {
	bin, err := releaseBinary()
	if err != nil {
		b.Fatal(err)
	}
	addr := needtest.Address(b)
	cloud := exec.Command(bin, "cloud", "--listen", addr, "--dir", filepath.Join(dir, "certs"), "--thing", "load")
	log := &output{}
	cloud.Stderr = log
	if err := cloud.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cloud.Process.Kill(); _ = cloud.Wait() })
	for range 500 {
		if strings.Contains(log.String(), "What is published follows") {
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatalf("the cloud does not start: %s", log)
	return ""
}

func processCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
