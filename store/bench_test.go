package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fieldbridge/bridge"
)

// BenchmarkHealthy is the way of batches that the cloud acknowledges before
// they are due on disk.
func BenchmarkHealthy(b *testing.B) {
	for _, readings := range []int{1, 20, 1000, -1, -20, -1000} {
		journal := readings > 0
		readings = max(readings, -readings)
		b.Run(fmt.Sprintf("readings=%d/journal=%v", readings, journal), func(b *testing.B) {
			c := testConfig(tempDir(b))
			if journal {
				c.Journal = tempDir(b)
			}
			q := openQueue(b, c)
			q.Online()
			batch := testBatch(0, readings)
			batch.At = time.Now()
			ctx := context.Background()
			positions := make([]bridge.Position, 0, 64)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for range 50 {
					q.Append(batch, nil)
				}
				positions = positions[:0]
				for len(positions) < 50 {
					entries, err := q.Next(ctx, bridge.Fresh, 50)
					if err != nil {
						b.Fatal(err)
					}
					for i := range entries {
						positions = append(positions, entries[i].Position)
					}
				}
				q.Ack(positions...)
				n += 50
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/batch")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*readings), "ns/reading")
		})
	}
}
