package site

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"fieldbridge/pause"
)

const (
	// short is how long a connection lives at the most that another client with our
	// id ends.
	short = 10 * time.Minute
	// suspicious is after how many such ends in a row another client is supposed;
	// a broker that says so is believed at once.
	suspicious = 3
)

// errTakenOver is what a broker of MQTT 5 says when another client takes our id.
var errTakenOver = errors.New("another client connected with the same client id: give each gateway its own client_id")

// clones tells whether another client uses our id: both are thrown out by the
// broker in turn, since MQTT gives an id to whoever asks last. It is of the
// goroutine that connects.
type clones struct {
	id    string // ours
	ends  int
	last  time.Time // of the last end
	sure  bool      // the broker said so
	since time.Time
	retry pause.Growing
}

func newClones(id string) clones {
	return clones{id: id, retry: pause.Growing{Least: 2 * time.Second, Most: 5 * time.Minute}}
}

// ended notes how a connection ended that began at a time and that the broker had
// accepted. It returns what is told of another client, nil if there is none.
func (c *clones) ended(begin time.Time, err error) error {
	now := time.Now()
	taken := errors.Is(err, errTakenOver)
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if now.Sub(begin) >= short || !taken && !closed {
		*c = newClones(c.id)
	}
	if !taken && !closed {
		return nil
	}
	if c.ends++; c.ends == 1 {
		c.since = now
	}
	c.last, c.sure = now, c.sure || taken
	switch {
	case c.sure:
		return fmt.Errorf("%w; it has taken %q %d times", errTakenOver, c.id, c.ends)
	case c.ends >= suspicious:
		return fmt.Errorf("the broker has closed %d connections in a row soon after it took them, the last after %s: "+
			"another client seems to use our client id %q: give each gateway its own client_id", c.ends,
			now.Sub(begin).Round(time.Second), c.id)
	}
	return nil
}
