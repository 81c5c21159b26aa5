package awsiot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/streams"
	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/uplink"
)

// farNetwork is a network of which everything takes delay each way.
type farNetwork struct {
	uplink.Network
	delay time.Duration
	ways  sync.WaitGroup
}

func (n *farNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.Network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	n.ways.Go(func() { n.carry(c, theirs) })
	n.ways.Go(func() { n.carry(theirs, c) })
	return ours, nil
}

// carry hands on what comes, late; and its end.
func (n *farNetwork) carry(to, from net.Conn) {
	type piece struct {
		due  time.Time
		data []byte
	}
	way := make(chan piece, 10_000)
	n.ways.Go(func() {
		defer close(way)
		for {
			data := make([]byte, 1460)
			k, err := from.Read(data)
			if err != nil {
				return
			}
			way <- piece{time.Now().Add(n.delay), data[:k]}
		}
	})
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close() // the reader ends
	for range way {
	}
}

// TestFileBesideReadings: 7 MB by file streams, of which 1 % of the blocks are lost, over
// a link of 50 ms there and back, while a reading is sent each 100 ms: none of them is
// later than a second.
func TestFileBesideReadings(t *testing.T) {
	data := make([]byte, 7_000_000)
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte{7}), data) // does not fail
	sum := sha256.Sum256(data)
	dir := t.TempDir()
	var files *fetch.Fetcher
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(cfg *Config, o *Options) {
			cfg.Jobs = []string{"config"}
			files = fetch.New(fetch.Options{Thing: "gateway-1", Dir: dir, Rate: 512 << 10, Log: quiet})
			o.Alongside = func(ctx context.Context, s *uplink.Session) { files.Serve(ctx, s) }
		})
		far := &farNetwork{Network: r.network, delay: 25 * time.Millisecond}
		r.sink.network = far
		defer far.ways.Wait()
		defer r.stop()
		service := streams.New()
		if err := service.Put(streams.Stream{ID: "s", Files: map[int]streams.Object{0: streams.Bytes(data)}}); err != nil {
			t.Fatal(err)
		}
		service.Disturb(streams.Faults{Seed: 7, Lose: 0.01})
		r.cloud.Serve(service)
		r.start()
		link := <-r.links
		done, stopped := make(chan struct{}), make(chan struct{})
		var mu sync.Mutex
		var latest time.Duration
		sent := 0
		go func() {
			defer close(stopped)
			for {
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
				}
				begun := time.Now()
				if err := <-publish(link, "t", `{"v":1}`); err != nil {
					t.Error(err)
				}
				mu.Lock()
				latest, sent = max(latest, time.Since(begun)), sent+1
				mu.Unlock()
			}
		}()
		begun := time.Now()
		path, err := files.Fetch(r.t.Context(), fetch.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))},
			fetch.Source{Stream: "s"}, nil)
		took := time.Since(begun)
		close(done)
		<-stopped
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(len(data)) {
			t.Error(err)
		}
		c := service.Counts()
		t.Logf("%v; %d requests, %d blocks of which %d were lost, %d bytes; %d readings, the latest after %v",
			took, c.Gets, c.Blocks, c.Lost, c.Bytes, sent, latest)
		if latest > time.Second || sent < 100 || c.Lost == 0 || took > time.Minute || took < 7_000_000/(256<<10)*time.Second {
			t.Errorf("took %v, the latest of %d readings %v, %+v", took, sent, latest, c)
		}
	})
}
