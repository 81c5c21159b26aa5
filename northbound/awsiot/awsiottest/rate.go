package awsiottest

import (
	"sync"
	"time"
)

// Throttle is what happens to messages above 100 per second on a connection.
// AWS documents that they are discarded; MQTT 5 has a reason code for it.
type Throttle int

// The ways of throttling. With any but ThrottleOff also CONNECTs of a client id
// within a second are refused, and more than 512 KiB/s are slowed down.
const (
	ThrottleOff    Throttle = iota
	ThrottleDrop            // the message is discarded, no PUBACK comes
	ThrottleRefuse          // PUBACK 0x97
)

// What AWS allows on one connection per second.
const (
	messageRate = 100
	byteRate    = 512 << 10
)

// bucket is a token bucket of one second's worth.
type bucket struct {
	mu     sync.Mutex
	rate   float64
	tokens float64   // guarded by mu
	filled time.Time // guarded by mu
}

func newBucket(rate float64) *bucket {
	return &bucket{rate: rate, tokens: rate, filled: time.Now()}
}

func (b *bucket) fillLocked() {
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+b.rate*now.Sub(b.filled).Seconds())
	b.filled = now
}

// take takes n tokens if they are there.
func (b *bucket) take(n float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fillLocked()
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// owe takes n tokens and returns how long to wait until they are there.
func (b *bucket) owe(n float64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fillLocked()
	b.tokens -= n
	return time.Duration(max(0, -b.tokens/b.rate) * float64(time.Second))
}

// tooSoon reports whether a client id connects for the second time within a
// second.
func (c *Cloud) tooSoon(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	last, known := c.connected[id]
	c.connected[id] = now
	return known && now.Sub(last) < time.Second
}
