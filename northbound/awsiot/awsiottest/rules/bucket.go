package rules

import (
	"sync"
	"time"
)

// What AWS allows on one connection per second.
const (
	MessageRate = 100
	ByteRate    = 512 << 10
)

// Bucket is a token bucket of one second's worth.
type Bucket struct {
	mu     sync.Mutex
	rate   float64
	tokens float64   // guarded by mu
	filled time.Time // guarded by mu
}

// NewBucket returns a full bucket for a rate per second.
func NewBucket(rate float64) *Bucket {
	return &Bucket{rate: rate, tokens: rate, filled: time.Now()}
}

func (b *Bucket) fillLocked() {
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+b.rate*now.Sub(b.filled).Seconds())
	b.filled = now
}

// Take takes n tokens if they are there.
func (b *Bucket) Take(n float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fillLocked()
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// Owe takes n tokens and returns how long to wait until they are there.
func (b *Bucket) Owe(n float64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fillLocked()
	b.tokens -= n
	return time.Duration(max(0, -b.tokens/b.rate) * float64(time.Second))
}
