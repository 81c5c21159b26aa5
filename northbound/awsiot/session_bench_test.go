package awsiot

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

// BenchmarkSession takes readings from packing to PUBACK over real mutual TLS.
// The stand-in runs in the same process: its share of the CPU time is in the
// figures, of which cpu-ns/reading is the sum.
func BenchmarkSession(b *testing.B) {
	for _, points := range []int{20, 250} {
		b.Run(fmt.Sprintf("uint16x%d", points), func(b *testing.B) {
			cloud, err := awsiottest.Start(awsiottest.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer cloud.Close()
			id, err := cloud.Device("gateway-1")
			if err != nil {
				b.Fatal(err)
			}
			cfg := validConfig()
			cfg.Endpoint, cfg.ServerName, cfg.CA = cloud.Addr(), "localhost", setting.Path(cloud.CA())
			use(&cfg, id)
			sink, err := New(cfg, Options{Gateway: "gateway-1", Run: "r", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			entries := emitted(sink.Format(), 10, points, 30)
			ctx, cancel := context.WithCancel(b.Context())
			links, ended := make(chan bridge.Link), make(chan struct{})
			go func() {
				defer close(ended)
				_ = sink.Run(ctx, func(ctx context.Context, link bridge.Link) { links <- link; <-ctx.Done() })
			}()
			link := <-links
			var outstanding sync.WaitGroup
			var failed atomic.Int64
			readings := 0
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				for rest := entries; len(rest) > 0; {
					m, n, err := sink.Format().Pack(rest)
					if err != nil {
						b.Fatal(err)
					}
					for i := range rest[:n] {
						readings += len(rest[i].Readings)
					}
					rest = rest[n:]
					outstanding.Add(1)
					link.Publish(m, func(err error) {
						if err != nil {
							failed.Add(1)
						}
						outstanding.Done()
					})
				}
			}
			outstanding.Wait()
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(readings), "cpu-ns/reading")
			b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
			cancel()
			<-ended
			if n := failed.Load(); n > 0 {
				b.Errorf("%d messages failed", n)
			}
		})
	}
}

// cpu returns the CPU time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
