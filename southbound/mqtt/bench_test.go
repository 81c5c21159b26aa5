package mqtt

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// BenchmarkIngest is the way of a message from the broker to emit.
func BenchmarkIngest(b *testing.B) {
	cfg := embeddedConfig(
		sensor("hall", Sensor{Topic: "hall/{device}/temperature", Point: "temperature"}),
		sensor("zigbee", Sensor{Topic: "zigbee2mqtt/{device}", Points: map[string]payload.Point{
			"temperature": {Path: "temperature"}, "humidity": {Path: "humidity"},
			"battery": {Path: "battery", Value: payload.Value{Type: "int16"}}}}))
	s, err := New(cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := s.brokers["local"].router.Load()
	for name, m := range map[string]inlet.Message{
		"number": {Topic: "hall/north/temperature", Payload: []byte("21.53")},
		"json": {Topic: "zigbee2mqtt/sonde",
			Payload: []byte(`{"battery":97,"humidity":44.1,"linkquality":120,"temperature":21.53,"voltage":2900}`)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			m.At = time.Now()
			for b.Loop() {
				s.ingest(r, m, func(bridge.Batch, func(error)) {}, nil)
			}
		})
	}
}

// BenchmarkPublish is a message of a client with a window of 100 through the
// embedded broker and back to its PUBACK; the client's cost is in it.
func BenchmarkPublish(b *testing.B) {
	for _, qos := range []byte{0, 1} {
		b.Run(fmt.Sprint("qos", qos), func(b *testing.B) {
			s, err := New(embeddedConfig(anyReading()), Options{})
			if err != nil {
				b.Fatal(err)
			}
			t := &testing.T{}
			stop := run(t, s, func(_ bridge.Batch, safe func(error)) {
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
