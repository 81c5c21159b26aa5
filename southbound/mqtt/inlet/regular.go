package inlet

import "time"

// Regular are the messages that are sent at intervals, as some devices want it. It is
// of one goroutine.
type Regular struct {
	what []Publish
	due  []time.Time
}

// NewRegular returns those of a connection, or a broker, that begins: all are due.
func NewRegular(what []Publish) *Regular {
	r := &Regular{what: what, due: make([]time.Time, len(what))}
	for i := range r.due {
		r.due[i] = time.Now()
	}
	return r
}

// Timer returns a channel that tells when one is due, and what stops it; nil, which never
// does, if there are none.
func (r *Regular) Timer() (<-chan time.Time, func() bool) {
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

// Take returns the messages that are due.
func (r *Regular) Take() (out []Publish) {
	now := time.Now()
	for i, p := range r.what {
		if r.due[i].After(now) {
			continue
		}
		r.due[i] = now.Add(p.Every.D())
		out = append(out, p)
	}
	return out
}
