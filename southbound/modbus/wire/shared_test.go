package wire_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestSharedOutOfOrder: sixteen clients on one connection whose answers overtake
// each other get their own.
func TestSharedOutOfOrder(t *testing.T) {
	sim := modbustest.New()
	sim.Parallel = true
	unit := sim.Unit(1)
	unit.Set(modbustest.Holding, 0, addresses()...)
	unit.Always(func(_ modbustest.Request, a *modbustest.Answer) {
		a.Delay = time.Duration(rand.IntN(2000)) * time.Microsecond
	})
	address := sim.Start(t)
	link := wire.NewShared(wire.Options{Dial: dialer(address), ConnectTimeout: patient})
	defer link.Close()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			client := wire.NewClient(link)
			client.To(t.Context(), 1, patient)
			for n := range 50 {
				at := uint16(i*1000 + n)
				data, err := client.Read(wire.Holding, at, 2)
				if got := outcome(data, err, at); got != "right" {
					t.Errorf("client %d, read %d: %s (%v)", i, n, got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := sim.Accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSharedBreaks: when the connection breaks, all that wait learn it at once,
// and the next ones get another.
func TestSharedBreaks(t *testing.T) {
	_, unit, address := numbered(t)
	link := wire.NewShared(wire.Options{Dial: dialer(address), ConnectTimeout: patient})
	defer link.Close()
	unit.Always(modbustest.Silence)
	results := make(chan string)
	for range 4 {
		go func() {
			client := wire.NewClient(link)
			client.To(t.Context(), 1, time.Minute)
			_, err := client.Read(wire.Holding, 7, 2)
			results <- outcome(nil, err, 7)
		}()
	}
	for tick := time.Tick(time.Millisecond); unit.Count() < 4; {
		<-tick
	}
	link.Drop()
	for range 4 {
		if got := <-results; got != "disconnected" {
			t.Errorf("%s, want disconnected", got)
		}
	}
	unit.Always()
	client := wire.NewClient(link)
	client.To(t.Context(), 1, patient)
	if data, err := client.Read(wire.Holding, 7, 2); outcome(data, err, 7) != "right" {
		t.Error(data, err)
	}
}
