package bridge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gate says when a lane may publish. It keeps the messages in flight below the
// window and the rate below the limits, and shares both between the lanes: while
// both wait, fresh gets its share and the backlog the rest; what one does not
// use passes to the other.
//
// The sharing is stride scheduling: each message moves its lane's pass ahead by
// its cost divided by the lane's share, and the lane that is behind goes first.
type gate struct {
	limits Limits
	after  After
	narrow *atomic.Bool // a quarter of the window is to be used; may be nil
	weight [2]float64
	wake   [2]chan struct{} // one value: look again

	mu       sync.Mutex
	inFlight int        // guarded by mu, as all below
	messages bucket     // tokens, in messages
	bytes    bucket     // tokens, in bytes
	pass     [2]float64 // per lane
	stride   [2]float64 // how far the lane's last message would have moved the lane with the smaller share
	waiting  [2]bool
	paused   time.Time // nothing is published before
	pause    time.Duration
}

// spareShare is the part of the rate of messages that fresh ones that are not full may
// take from a backlog.
const spareShare = 1.0 / 32

// spare returns how many messages a second may hold next to nothing while a backlog
// goes in full ones of room bytes, and does not become much slower: those that the
// limit of bytes leaves, and some. It is 0 where there is no limit of messages.
func (l Limits) spare(room int) float64 {
	left := 0.0
	if l.Bytes > 0 {
		left = max(0, l.Messages-l.Bytes/float64(room))
	}
	return left + l.Messages*spareShare
}

// bucket is a token bucket that may go into debt: a message goes when there is
// any token, and is charged when its size is known.
type bucket struct {
	rate, burst, tokens float64
	filled              time.Time
}

func newBucket(rate, burst float64, now time.Time) bucket {
	return bucket{rate: rate, burst: burst, tokens: burst, filled: now}
}

// wait returns how long until there is a token again.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.tokens > 0 {
		return 0
	}
	return time.Duration((-b.tokens/b.rate)*float64(time.Second)) + time.Microsecond
}

// The burst is a fifth of a second's worth: AWS counts per second, and a full
// second's burst on top of the rate would pass its limit.
const burstSeconds = 0.2

func newGate(limits Limits, liveShare float64) *gate {
	now := time.Now()
	return &gate{
		limits:   limits,
		after:    afterFunc,
		weight:   [2]float64{Fresh: max(liveShare, 0.01), Backlog: max(1-liveShare, 0.01)},
		wake:     [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		messages: newBucket(limits.Messages, max(1, limits.Messages*burstSeconds), now),
		bytes:    newBucket(limits.Bytes, max(1, limits.Bytes*burstSeconds), now),
	}
}

// enter waits until lane may publish one message and takes its place in the
// window. It reports false when ctx ends first.
func (g *gate) enter(ctx context.Context, lane Lane) bool {
	defer g.nudge(1 - lane) // the other lane's turn may have come either way
	for {
		delay, ok := g.try(lane)
		if ok {
			return true
		}
		stop := noWait
		if delay > 0 {
			stop = g.after(delay, func() { g.nudge(lane) })
		}
		select {
		case <-ctx.Done():
			stop()
			g.mu.Lock()
			g.waiting[lane] = false
			g.mu.Unlock()
			return false
		case <-g.wake[lane]:
			stop()
		}
	}
}

func noWait() bool { return false }

// try takes a place if there is one, else says how long to wait (0: until
// woken).
func (g *gate) try(lane Lane) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	other := 1 - lane
	if !g.waiting[lane] {
		g.waiting[lane] = true
		// A lane that was idle has saved up no turns.
		g.pass[lane] = max(g.pass[lane], g.pass[other]-2*max(g.stride[lane], g.stride[other]))
	}
	now := time.Now()
	if d := g.paused.Sub(now); d > 0 {
		return d, false
	}
	if d := max(g.messages.wait(now), g.bytes.wait(now)); d > 0 {
		return d, false
	}
	if g.inFlight >= g.window() || g.waiting[other] && g.pass[other] < g.pass[lane] {
		return 0, false
	}
	g.inFlight++
	g.waiting[lane] = false
	return 0, true
}

// window is how many messages may be in flight.
func (g *gate) window() int {
	if g.narrow != nil && g.narrow.Load() {
		return max(1, g.limits.Window/4)
	}
	return g.limits.Window
}

// charge accounts for the message that lane publishes.
func (g *gate) charge(lane Lane, size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.messages.tokens--
	g.bytes.tokens -= float64(size)
	// The cost is the part of the rate that the message uses up, by the limit
	// that binds; without limits each message costs the same.
	cost := 1.0
	if g.limits.Messages > 0 {
		cost /= g.limits.Messages
	}
	if g.limits.Bytes > 0 {
		cost = max(cost, float64(size)/g.limits.Bytes)
	}
	g.pass[lane] += cost / g.weight[lane]
	g.stride[lane] = cost / min(g.weight[Fresh], g.weight[Backlog])
}

// leave gives a place in the window back.
func (g *gate) leave() {
	g.mu.Lock()
	g.inFlight--
	g.mu.Unlock()
	g.nudge(Fresh)
	g.nudge(Backlog)
}

// accepted ends a pause's memory: the cloud takes messages.
func (g *gate) accepted() {
	g.mu.Lock()
	g.pause = 0
	g.mu.Unlock()
}

// refused pauses all publishing, twice as long each time in a row.
func (g *gate) refused() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.paused.After(now) {
		return 0 // one of several in flight: counted once
	}
	g.pause = min(max(2*g.pause, time.Second), time.Minute)
	g.paused = now.Add(g.pause)
	return g.pause
}

// count returns how many messages are in flight.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inFlight
}

func (g *gate) nudge(lane Lane) {
	select {
	case g.wake[lane] <- struct{}{}:
	default:
	}
}
