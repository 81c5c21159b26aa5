package site

import "time"

// regular are the messages that are sent to the broker at intervals, as some
// devices want it. It is of the goroutine that serves a connection.
type regular struct {
	of  *Client
	due []time.Time
}

// newRegular returns those of a connection that begins: all are due.
func newRegular(of *Client) *regular {
	r := &regular{of: of, due: make([]time.Time, len(of.config.Publish))}
	for i := range r.due {
		r.due[i] = time.Now()
	}
	return r
}

// timer returns a channel that tells when one is due; nil, which never does, if
// there are none.
func (r *regular) timer() (<-chan time.Time, func() bool) {
	if len(r.due) == 0 {
		return nil, func() bool { return true }
	}
	first := r.due[0]
	for _, at := range r.due {
		if at.Before(first) {
			first = at
		}
	}
	t := time.NewTimer(time.Until(first))
	return t.C, t.Stop
}

// take returns the messages that are due.
func (r *regular) take() (out []outgoing) {
	now := time.Now()
	for i, p := range r.of.config.Publish {
		if r.due[i].After(now) {
			continue
		}
		r.due[i] = now.Add(p.Every.D())
		out = append(out, outgoing{p.Topic, []byte(p.Payload)})
	}
	return out
}
