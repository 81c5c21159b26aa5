package broker

import "time"

const (
	// A client that sent nothing for stalled, and then within prompt of its
	// acknowledgements, had waited for them.
	stalled = 40 * time.Millisecond
	prompt  = 20 * time.Millisecond
	// sure is how often in a row: a slow client may send just then by chance.
	sure = 3
)

// pace learns how many messages a client leaves unacknowledged before it waits:
// MQTT has no word for it. A queue that shares its commits must not keep such a
// client waiting, and may keep the others, who go on.
type pace struct {
	window   int // 0 if it is not known
	most     int // unacknowledged since all were acknowledged last
	last     time.Time
	acked    time.Time // when all were
	waited   bool      // before that the client had sent nothing for long
	prompted int       // times in a row that it then went on at once
}

// came takes note of a message after which n are unacknowledged. It returns n if
// the client now waits for them, else 0.
func (p *pace) came(n int, now time.Time) int32 {
	if n == 1 {
		if p.waited && now.Sub(p.acked) < prompt {
			p.prompted++
		} else if p.waited {
			p.prompted = 0
		}
		if p.prompted >= sure {
			p.window = p.most
		}
		p.most = 0
	}
	p.most, p.last = max(p.most, n), now
	if n > p.window {
		p.window = 0
	}
	if p.window == 0 {
		return 0
	}
	if n == p.window {
		return int32(n)
	}
	return 0
}

// answered takes note that all are acknowledged.
func (p *pace) answered(now time.Time) { p.acked, p.waited = now, now.Sub(p.last) >= stalled }
