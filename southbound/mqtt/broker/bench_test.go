package broker

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// BenchmarkPublish is a message of a client with a window of 100 through the
// embedded broker and back to its PUBACK; the client's cost is in it.
func BenchmarkPublish(b *testing.B) {
	for _, qos := range []byte{0, 1} {
		b.Run(fmt.Sprint("qos", qos), func(b *testing.B) {
			s, err := New("local", plain, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			t := &testing.T{}
			stop := run(t, s, func(_ inlet.Message, safe func(error)) {
				if safe != nil {
					safe(nil)
				}
			})
			defer stop()
			c := rig.Dial(t, address(t, s), 4, "c")
			const window = 100
			var buf []byte
			packet := append([]byte{0x30 | qos<<1, 0}, rig.String("t/north/temperature")...)
			if qos > 0 {
				packet = append(packet, 0, 0)
			}
			packet = append(packet, "21.53"...)
			packet[1] = byte(len(packet) - 2)
			b.ReportAllocs()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += window {
				buf = buf[:0]
				for i := range window {
					if qos > 0 {
						binary.BigEndian.PutUint16(packet[len(packet)-7:], uint16(i+1))
					}
					buf = append(buf, packet...)
				}
				if _, err := c.Conn.Write(buf); err != nil {
					b.Fatal(err)
				}
				if qos > 0 {
					for range window {
						c.Read()
					}
				}
			}
			if qos == 0 {
				c.Silent()
			}
		})
	}
}

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
