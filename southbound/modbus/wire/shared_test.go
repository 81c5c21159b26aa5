package wire_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// silentHost is a dialler whose host never answers.
func silentHost(ctx context.Context) (wire.Stream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSharedDeadHost: many that ask a dead host wait once for it, together, and
// nobody longer than its own context; to ask whether it is connected waits for
// nothing.
func TestSharedDeadHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 300 * time.Millisecond
		link := wire.NewShared(wire.Options{Dial: silentHost, ConnectTimeout: timeout})
		defer link.Close()
		start := time.Now()
		ask := func(ctx context.Context) error {
			client := wire.NewClient(link)
			client.To(ctx, 1, timeout)
			_, err := client.Read(wire.Holding, 0, 1)
			return err
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				var connect *wire.ConnectError
				if err := ask(t.Context()); !errors.As(err, &connect) || time.Since(start) != timeout {
					t.Errorf("%v after %v, want a failed connection after %v", err, time.Since(start), timeout)
				}
			})
		}
		synctest.Wait() // one of the four connects
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), timeout/3)
			defer cancel()
			if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != timeout/3 {
				t.Errorf("a context of %v: %v after %v", timeout/3, err, time.Since(start))
			}
		})
		synctest.Wait()
		if link.Connected() || time.Since(start) != 0 {
			t.Errorf("Connected waited %v", time.Since(start))
		}
		all.Wait()
	})
}

// TestSharedDialerLeaves: when the one that connects gives up, another does.
func TestSharedDialerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		link := wire.NewShared(wire.Options{ConnectTimeout: time.Second,
			Dial: func(ctx context.Context) (wire.Stream, error) {
				dials.Add(1)
				return silentHost(ctx)
			}})
		defer link.Close()
		start := time.Now()
		ask := func(ctx context.Context) {
			client := wire.NewClient(link)
			client.To(ctx, 1, time.Second)
			if _, err := client.Read(wire.Holding, 0, 1); err == nil {
				t.Error("a dead host answered")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { ask(ctx) })
		synctest.Wait()
		all.Go(func() { ask(t.Context()) })
		all.Wait()
		if took := time.Since(start); dials.Load() != 2 || took != 1100*time.Millisecond {
			t.Errorf("%d dials in %v, want 2 in 1.1s", dials.Load(), took)
		}
	})
}

// pipe is a stream whose other side reads nothing.
type pipe struct{ net.Conn }

// TestSharedStuckWrite: a peer that reads nothing keeps nobody waiting longer
// than the timeout, and nobody from asking whether it is connected.
func TestSharedStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := wire.NewShared(wire.Options{ConnectTimeout: time.Second, Dial: func(context.Context) (wire.Stream, error) {
			near, far := net.Pipe()
			t.Cleanup(func() { _ = far.Close() })
			return pipe{near}, nil
		}})
		defer link.Close()
		const timeout = 300 * time.Millisecond
		start := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				client := wire.NewClient(link)
				client.To(t.Context(), 1, timeout)
				if _, err := client.Read(wire.Holding, 0, 1); err == nil || time.Since(start) > 2*timeout {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		}
		synctest.Wait()
		if !link.Connected() || time.Since(start) != 0 {
			t.Errorf("Connected waited %v", time.Since(start))
		}
		all.Wait()
	})
}
