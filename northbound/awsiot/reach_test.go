package awsiot

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
)

// lossyNetwork drops all packets while it is dark: a kernel sends its SYN again after
// 1, 3, 7 s and so on.
type lossyNetwork struct {
	*awsiottest.Network
	dark atomic.Bool
}

func (n *lossyNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	for wait := time.Second; n.dark.Load(); wait *= 2 {
		if !pause.Sleep(ctx, wait) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
	}
	return n.Network.DialContext(ctx, network, address)
}

// TestFirstPublishAfterOutage: however long the cloud was away and however that
// looked from here, what is published first arrives within 5 s of its return.
func TestFirstPublishAfterOutage(t *testing.T) {
	outages := []time.Duration{time.Second, 17 * time.Second, time.Minute, 61300 * time.Millisecond, 10 * time.Minute}
	for _, way := range []string{"refuses", "drops packets"} {
		if way == "drops packets" {
			outages = append(outages, time.Hour) // where it refuses, each second is a try of the test's own time
		}
		for _, outage := range outages {
			t.Run(fmt.Sprint(way, " for ", outage), func(t *testing.T) {
				bubble(t, nil, func(r *rig) {
					network := &lossyNetwork{Network: r.network.(*awsiottest.Network)}
					r.sink.network = network
					r.start()
					<-r.links
					time.Sleep(time.Minute)
					if way == "refuses" {
						r.cloud.Offline()
					} else {
						network.dark.Store(true)
						r.cloud.Drop("")
					}
					<-r.lost
					time.Sleep(outage)
					network.dark.Store(false)
					if way == "refuses" {
						if err := r.cloud.Online(); err != nil {
							t.Fatal(err)
						}
					}
					back := time.Now()
					if err := <-publish(<-r.links, "t", "x"); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(back); took > 5*time.Second {
						t.Errorf("published %v after the cloud's return", took)
					}
				})
			})
		}
	}
}

// TestKnocksWriteNothing: what a port that does not answer costs: no CONNECT, no
// write to the disk, and few tries.
func TestKnocksWriteNothing(t *testing.T) {
	state := &countingState{}
	bubble(t, func(_ *Config, o *Options) { o.State = state }, func(r *rig) {
		tries := &countingNetwork{Network: r.network}
		r.sink.network = tries
		r.start()
		<-r.links
		time.Sleep(time.Minute)
		r.cloud.Offline()
		<-r.lost
		time.Sleep(10 * time.Second) // an attempt that was under way is over
		puts, failures := state.puts.Load(), r.sink.failures.Load()
		tries.dials.Store(0)
		time.Sleep(10 * time.Minute)
		if n := tries.dials.Load(); n < 300 || n > 600 {
			t.Errorf("%d tries in ten minutes, want one every 1 to 2 s", n)
		}
		if n := state.puts.Load() - puts; n > 0 {
			t.Errorf("%d writes", n)
		}
		if n := r.sink.failures.Load() - failures; n > 0 {
			t.Errorf("%d more failures are counted", n)
		}
	})
}

type countingNetwork struct {
	uplink.Network
	dials atomic.Int64
}

func (n *countingNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.dials.Add(1)
	return n.Network.DialContext(ctx, network, address)
}

type countingState struct {
	memoryState
	puts atomic.Int64
}

func (s *countingState) Put(key string, value []byte) error {
	s.puts.Add(1)
	return s.memoryState.Put(key, value)
}

// TestSpread: a gateway of a large fleet waits for its turn when the port answers
// again, unless the fault was our own.
func TestSpread(t *testing.T) {
	refused, noLink := error(syscall.ECONNREFUSED), error(syscall.ENETUNREACH)
	for _, tt := range []struct {
		name     string
		gateways int
		times    int
		why      error
		least    time.Duration // that the longest of many takes
		most     time.Duration
	}{
		{"alone", 1, 30, refused, time.Second, 4 * time.Second},
		{"of 10,000", 10_000, 30, refused, 25 * time.Second, 47 * time.Second}, // 44.4 s, and up to 2 s for the knock
		{"of 10,000, no link", 10_000, 10, noLink, 0, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			longest := time.Duration(0)
			for range tt.times {
				bubble(t, func(c *Config, _ *Options) { c.Backoff.Gateways = tt.gateways }, func(r *rig) {
					network := &failingNetwork{Network: r.network, err: tt.why}
					r.sink.network = network
					network.fails.Store(true)
					r.start()
					time.Sleep(20 * time.Second)
					network.fails.Store(false)
					back := time.Now()
					<-r.links
					longest = max(longest, time.Since(back))
				})
			}
			if longest < tt.least || longest > tt.most {
				t.Errorf("the longest took %v, want %v to %v", longest, tt.least, tt.most)
			}
		})
	}
}

type failingNetwork struct {
	uplink.Network
	fails atomic.Bool
	err   error
}

func (n *failingNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if n.fails.Load() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: n.err}
	}
	return n.Network.DialContext(ctx, network, address)
}

// TestClockComesRight: without a clock the certificate is not valid yet; once it
// is set nobody waits for the backoff.
func TestClockComesRight(t *testing.T) {
	synced := new(atomic.Bool)
	bubble(t, func(_ *Config, o *Options) { o.Synced = synced.Load }, func(r *rig) {
		r.cloud.ScriptConnect(func(string) awsiottest.ConnectVerdict {
			return awsiottest.ConnectVerdict{Close: !synced.Load()} // as a certificate that is not valid yet
		})
		r.start()
		time.Sleep(30 * time.Minute)
		synced.Store(true)
		begin := time.Now()
		<-r.links
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("connected %v after the clock was right", d)
		}
		synctest.Wait()
	})
}
