package modbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// slowDisk is a Notebook on a disk that takes its time for each access.
type slowDisk struct {
	memory
	takes time.Duration
}

func (s *slowDisk) Get(key string) ([]byte, error) {
	time.Sleep(s.takes)
	return s.memory.Get(key)
}

func (s *slowDisk) Note(key string, value []byte) error {
	time.Sleep(s.takes)
	return s.memory.Note(key, value)
}

// TestNothingWaits: while a disk, a host and a name server block for 5 s each,
// ten buses poll at 100 ms, learn, and take a new configuration: no poll is more
// than 50 ms late, and whoever asks how all is going is told at once.
func TestNothingWaits(t *testing.T) {
	const block = 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var delay atomic.Int64 // of answers; a new one teaches the buses another round trip
		delay.Store(int64(2 * time.Millisecond))
		cfg := setup.Config{Buses: map[string]setup.Bus{}, Devices: map[string]setup.Device{}}
		sims := map[string]*modbustest.Simulator{}
		add := func(name string, timeout time.Duration) {
			b := testBus(name)
			b.Timeout = setting.Duration(timeout)
			cfg.Buses[name] = b
			d := testDevice(name, 1, map[string]setup.Point{"x": {Holding: at(0)}})
			d.Every = setting.Duration(100 * time.Millisecond)
			cfg.Devices[name] = d
		}
		for i := range 10 {
			name := fmt.Sprintf("fast%d", i)
			add(name, 100*time.Millisecond)
			sims[name] = modbustest.New()
			sims[name].Unit(1).Always(func(_ modbustest.Request, a *modbustest.Answer) {
				a.Delay = time.Duration(delay.Load())
			})
		}
		add("deadhost", block)
		add("unnamed", block)
		r := newRigDial(t, cfg, &slowDisk{takes: block}, func(ctx context.Context, spec spec.Bus) (wire.Stream, error) {
			host, _, _ := strings.Cut(spec.Address.Host, ":")
			switch host {
			case "unnamed":
				time.Sleep(block) // as a resolver that heeds no context
				return nil, errors.New("no such host")
			}
			if sims[host] == nil { // nobody is there
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return sims[host].Dial(ctx)
		})
		time.Sleep(4 * time.Second)
		cfg.Buses, cfg.Devices = maps.Clone(cfg.Buses), maps.Clone(cfg.Devices)
		for i := range 3 {
			add(fmt.Sprintf("new%d", i), block) // nobody is there, either
		}
		applied := make(chan error)
		go func() { applied <- r.source.Apply(cfg) }()
		delay.Store(int64(30 * time.Millisecond))
		for range 4 {
			time.Sleep(block)
			start := time.Now()
			r.source.Health()
			r.source.Buses()
			if took := time.Since(start); took != 0 {
				t.Errorf("to say how it is going took %v", took)
			}
		}
		if err := <-applied; err != nil {
			t.Error(err)
		}
		last := map[string]time.Time{}
		polls := 0
		for _, b := range r.stop() {
			if !strings.HasPrefix(b.Device, "fast") {
				continue
			}
			polls++
			// An answer may take 28 ms more than the one before.
			if gap := b.At.Sub(last[b.Device]); !last[b.Device].IsZero() && gap > 150*time.Millisecond {
				t.Errorf("%s: %v between two polls", b.Device, gap)
			}
			last[b.Device] = b.At
		}
		if polls < 10*230 {
			t.Errorf("%d polls of ten buses in 24 s", polls)
		}
	})
}
