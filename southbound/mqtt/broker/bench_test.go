package broker

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// BenchmarkWindow20 is one client with a window of 20 whose messages are safe
// 20 ms later, committed together: at most 1,000 messages/s.
func BenchmarkWindow20(b *testing.B) {
	s, err := New("local", plain, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var waiting []func(error)
	t := &testing.T{}
	stop := run(t, s, func(_ inlet.Message, safe func(error)) {
		mu.Lock()
		defer mu.Unlock()
		if waiting = append(waiting, safe); len(waiting) == 1 {
			time.AfterFunc(20*time.Millisecond, func() {
				mu.Lock()
				due := waiting
				waiting = nil
				mu.Unlock()
				for _, safe := range due {
					safe(nil)
				}
			})
		}
	})
	defer stop()
	c := rig.Dial(t, address(t, s), 4, "c")
	b.ResetTimer()
	for i := range b.N {
		if i >= 20 {
			c.Read()
		}
		c.Publish(2, uint16(i%60000+1), "t/a/p", "1")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
