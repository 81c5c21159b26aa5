package mqtt

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// A device that is overdue is bad once, again at each heartbeat, and good with
// its next message.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var catalogue bridge.Catalogue
		s, err := New(embeddedConfig(
			sensor("hall", Sensor{Topic: "hall/{device}/{point}", Expect: attendance.Expect(time.Minute)}),
			sensor("roof", Sensor{Topic: "roof", Device: "roof", Points: payload.Points{"wind": {Path: "wind"},
				"rain": {Path: "rain"}}, Expect: attendance.Expect(90 * time.Second)}),
			sensor("free", Sensor{Topic: "free/{device}", Point: "p"}),
		), Options{Catalogue: &catalogue})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		router := s.brokers["local"].router.Load()
		s.brokers = nil // no sockets in here
		r := newRecorder()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, r.emit) }()
		hear := func(topic, payload string) {
			s.ingest(router, inlet.Message{Topic: topic, Payload: []byte(payload), At: time.Now()}, r.emit, nil)
		}
		var told []string
		at := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(time.Until(begin.Add(after)))
			synctest.Wait()
			told = append(told, want...)
			r.mu.Lock()
			defer r.mu.Unlock()
			rig.Same(t, "readings after "+after.String(), values(r.batches), told)
		}
		hear("hall/a/t", "1")
		hear("free/x", "1")
		at(30*time.Second, "a.t=1", "x.p=1")
		hear("hall/a/t", "2")
		hear("hall/a/h", "50")
		at(89*time.Second, "a.t=2", "a.h=50")
		at(90*time.Second, "a.h=bad: silent", "a.t=bad: silent", "roof.rain=bad: silent", "roof.wind=bad: silent")
		if d := s.Devices(); d[0].Bad != 2 || d[0].Reason != "silent" || d[1].Device != "roof" || d[1].Bad != 2 {
			t.Errorf("devices: %+v", d)
		}
		at(389 * time.Second)
		at(390*time.Second, "a.h=bad: silent", "a.t=bad: silent", "roof.rain=bad: silent", "roof.wind=bad: silent")
		hear("hall/a/t", "3")
		hear("roof", `{"wind":4}`)
		at(449*time.Second, "a.t=3", "roof.wind=4")
		at(450*time.Second, "a.h=bad: silent", "a.t=bad: silent")
		at(480*time.Second, "roof.rain=bad: silent", "roof.wind=bad: silent")
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
