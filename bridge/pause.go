package bridge

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

type topicRefused struct{ error }

func (e topicRefused) Unwrap() error { return e.error }

// RefuseTopic marks err as a refusal of a message's topic for now: its batches
// wait, others go on. A policy that is being changed takes minutes.
func RefuseTopic(err error) error { return topicRefused{err} }

// IsTopicRefused reports whether err was marked by [RefuseTopic].
func IsTopicRefused(err error) bool {
	var e topicRefused
	return errors.As(err, &e)
}

// A refused topic is tried again after leastPause, then each time twice as late.
const (
	leastPause = 5 * time.Second
	mostPause  = 15 * time.Minute
)

// pauses are the topics that wait because the cloud refuses them.
type pauses struct {
	some   atomic.Bool // there may be any: the usual case costs no lock
	mu     sync.Mutex
	topics map[string]topicPause // guarded by mu
}

type topicPause struct {
	until time.Time
	wait  time.Duration
}

// refused pauses a topic. It returns how long, or 0 if it was paused already:
// one of several messages in flight.
func (p *pauses) refused(topic string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	was := p.topics[topic]
	if was.until.After(now) {
		return 0
	}
	if p.topics == nil {
		p.topics = make(map[string]topicPause)
	}
	wait := min(max(2*was.wait, leastPause), mostPause)
	p.topics[topic] = topicPause{now.Add(wait), wait}
	p.some.Store(true)
	return wait
}

// accepted ends a topic's pause.
func (p *pauses) accepted(topic string) {
	if !p.some.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.topics, topic)
	p.some.Store(len(p.topics) > 0)
}

// refuses reports whether the cloud has refused a topic and not taken anything
// of it since.
func (p *pauses) refuses(topic string) bool {
	if !p.some.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.topics[topic]
	return ok
}

// count returns how many topics the cloud refuses, at least 1.
func (p *pauses) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(1, len(p.topics))
}

// until returns when a topic may be tried again; the zero time if it is not
// paused.
func (p *pauses) until(topic string) time.Time {
	if !p.some.Load() {
		return time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.topics[topic].until; t.After(time.Now()) {
		return t
	}
	return time.Time{}
}
