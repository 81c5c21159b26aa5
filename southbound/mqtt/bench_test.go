package mqtt

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
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
