package broker

import (
	"time"

	"fieldbridge/pause"
)

// refusals are the clients of MQTT 3.1.1 whose messages the queue refused. The
// protocol has no way to say no: they are disconnected so that they send again, but
// not at once each time: while the queue is full they would do nothing else. It is
// guarded by its owner.
type refusals struct{ by map[string]*refusal }

type refusal struct {
	pause pause.Growing
	last  time.Time
}

const (
	// mostRefused is how many clients are remembered.
	mostRefused = 1024
	// forgiven is how long after a refusal the next is the first again.
	forgiven = 2 * time.Minute
)

// next returns how long a client whose message was refused stays connected, with
// nothing more read from it: not at all the first time.
func (r *refusals) next(session string, now time.Time) time.Duration {
	if v := r.by[session]; v != nil && now.Sub(v.last) < forgiven {
		d := v.pause.Next()
		v.last = now.Add(d)
		return d
	}
	if r.by == nil || len(r.by) >= mostRefused {
		r.by = make(map[string]*refusal)
	}
	r.by[session] = &refusal{pause: pause.Growing{Least: time.Second, Most: 30 * time.Second}, last: now}
	return 0
}
