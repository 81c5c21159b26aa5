package mqtt

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/attendance"
)

// Ten thousand sensors that are remembered cost little memory, and their state is
// made and told in little time.
func TestManyRemembered(t *testing.T) {
	const many = 10000
	n := notes{}
	cfg := embeddedConfig(sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t", MaxDevices: many}))
	writeMany(t, n, cfg, many)
	before := heap()
	s, err := New(cfg, Options{State: n})
	if err != nil {
		t.Fatal(err)
	}
	each := (heap() - before) / many
	t.Logf("%d bytes each", each)
	if got := len(s.Devices()); got != many {
		t.Errorf("%d are remembered", got)
	}
	if each > 1200 {
		t.Errorf("a remembered sensor takes %d bytes", each)
	}
	begin := time.Now()
	s.Health()
	t.Logf("health takes %v", time.Since(begin))
}

// writeMany lets a source hear many sensors and writes them down.
func writeMany(t *testing.T, n notes, cfg Config, many int) {
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &feedOne{s, s.brokers["local"].router.Load(), newRecorder(), time.Now()}
	for i := range many {
		f.hear(fmt.Sprintf("hall/sensor-%05d/t", i), "21")
	}
	all := s.devices.entries(time.Now(), func(*device) bool { return true })
	if err := attendance.NewBook(n, time.Now()).Write(all, time.Now(), true, true); err != nil || len(all) != many {
		t.Fatalf("%d entries, %v", len(all), err)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
