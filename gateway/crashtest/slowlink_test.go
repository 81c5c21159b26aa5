//go:build linux

package crashtest

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	awsjobs "fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// distant is a link on which everything is late, each way, and no data is lost. It
// returns the address of its near end.
func distant(t *testing.T, to string, late time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			all.Go(func() { carry(far, near, late) })
			all.Go(func() { carry(near, far, late) })
		}
	})
	return l.Addr().String()
}

// carry takes what comes on one connection to another, late, until either ends.
func carry(to, from net.Conn, late time.Duration) {
	type parcel struct {
		due  time.Time
		data []byte
	}
	under := make(chan parcel, 1<<14)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for p := range under {
			time.Sleep(time.Until(p.due)) // this is what a link does
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			under <- parcel{time.Now().Add(late), bytes.Clone(buffer[:n])}
		}
		if err != nil {
			break
		}
	}
	close(under)
	<-ended
	_ = from.Close()
}

// latest returns how long after its poll a reading came, at most, since it was asked last.
func (r *rig) latest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := r.late
	r.late = 0
	return late
}

// TestDistantLinkSoak fetches a file by a stream over a link of 50 ms there and back
// that loses one block of a hundred, while readings go on: those of now are not later than
// they are anyway, linger and a second.
func TestDistantLinkSoak(t *testing.T) {
	if os.Getenv("FIELDBRIDGE_SOAK") == "" {
		t.Skip("make soak runs it: it takes minutes")
	}
	t.Parallel() // it mostly waits
	const size = 7_000_000
	r := newRig(t, filepath.Join(t.TempDir(), "queue"), 1)
	r.server = distant(t, r.server, 25*time.Millisecond)
	r.configure()
	u := r.updates()
	text, err := os.ReadFile(u.file())
	if err == nil { // the usual rate
		err = os.WriteFile(u.file(), bytes.Replace(text, []byte("    rate: {bytes: 0}\n"), nil, 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	u.start()
	u.eventually("the gateway is connected", time.Minute,
		func() bool { return slices.Contains(r.cloud.Connected(), "gateway-1") })
	u.streams.Disturb(streams.Faults{Lose: 0.01})
	r.latest()
	calm := time.Now().Add(10 * time.Second)
	u.eventually("readings have come for a while", time.Minute, func() bool { return time.Now().After(calm) })
	quiet := r.latest()

	program := append(bytes.Clone(u.crashes), make([]byte, max(0, size-len(u.crashes)))...)
	job := u.order(pack(t, u.root, program, "1.101.0-test"), usual)
	var began, ended time.Time
	late := time.Duration(0)
	u.eventually("the file has come", 5*time.Minute, func() bool {
		for _, e := range u.service.Record() {
			if e.Job == job && e.Details["step"] == "download" && began.IsZero() {
				began = e.At
			} else if e.Job == job && (e.Details["step"] == "trial" || e.Status == awsjobs.Failed) {
				ended = e.At
				return true
			}
		}
		late = max(late, r.latest())
		return false
	})
	n, took := u.streams.Counts(), ended.Sub(began)
	t.Logf("%d bytes in %.1f s: %d requests, %d blocks of which %d were lost, %d bytes; a reading came at most %.2f s "+
		"after its poll, %.2f s before", len(program), took.Seconds(), n.Gets, n.Blocks, n.Lost, n.Bytes, late.Seconds(),
		quiet.Seconds())
	if n.Bytes > len(program)*5/4 {
		t.Errorf("%d bytes were given of a file of %d", n.Bytes, len(program))
	}
	if late > 2*time.Second {
		t.Errorf("readings come %v after their poll", late)
	}
	u.became(job, awsjobs.Failed, "started 3 times")
	r.settle()
}
