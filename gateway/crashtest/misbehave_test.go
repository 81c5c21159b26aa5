//go:build linux

package crashtest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ackTimeout is in each configuration, as ack_timeout and as connect_timeout.
const ackTimeout = 2 * time.Second

// TestCloudMisbehaves: in whatever way a cloud misbehaves, once it behaves the gateway
// is back within 10 s, or ack_timeout more where messages got no answer; no reading is
// lost, and none comes with two contents. A few ways of each run; FIELDBRIDGE_SOAK
// takes all.
func TestCloudMisbehaves(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	chosen, bad := rand.Perm(len(manners))[:4], 2*time.Second
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		chosen, bad = rand.Perm(len(manners)), 10*time.Second
	}
	t.Parallel()
	for _, i := range chosen {
		m := &manners[i]
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			r := emptyRig(t, "")
			r.queue = filepath.Join(r.dir, "queue")
			c := startWild(t, r)
			r.furnish(1)
			r.start()
			r.eventually("readings arrive", 10*time.Second, func() bool { return c.good.Load() > 0 })
			c.behave(m)
			if m.accepts != nil || m.config != nil || m.connection != nil {
				r.eventually("the cloud is met", 3*time.Second, func() bool {
					c.breakUnlessMet()
					return c.bad.Load() > 0
				})
			}
			time.Sleep(bad)
			c.behave(nil)
			began := time.Now()
			limit := 10 * time.Second
			if m.swallows {
				limit += ackTimeout
			}
			r.eventually("readings arrive again", limit, func() bool { return c.good.Load() > 0 })
			back := time.Since(began)
			r.settle()
			t.Logf("| %s | %d | %v | %d |", m.name, c.bad.Load(), back.Round(10*time.Millisecond), r.total.acknowledged)
		})
	}
}

// breakUnlessMet breaks the connection that was made while it behaved, as far as the
// manner has not been seen on it.
func (c *wildCloud) breakUnlessMet() {
	if c.bad.Load() == 0 {
		c.breakAll()
	}
}
