package bridge

import (
	"cmp"
	"context"
	"errors"
	"time"
)

const (
	// A lane looks at most this far ahead for batches of a topic ...
	lookaheadBatches = 65536
	// ... and holds at most about so many bytes of messages-to-be.
	lookaheadBytes = 4 << 20
	// claimAtOnce bounds one claim.
	claimAtOnce = 256
	// spacing is how far apart messages are at the least when sensors wait for
	// their acknowledgement, unless they are full or linger is shorter: many
	// sensors share a message then, and the first waits for nobody.
	spacing = 5 * time.Millisecond
)

// packer forwards the batches of one lane of the queue, or of both in the order
// of the queue. It runs on one goroutine, which owns all of it.
type packer struct {
	s     *connection
	pulse Pulse
	lane  Lane // whose share of the rate it uses
	both  bool // oldest-first: the backlog, and when there is none what is fresh
	room  int  // bytes of batches in one message

	groups  map[string]*Group // by topic; none is empty
	spare   *pile             // of the last group that became empty, for the next one; may be nil
	parked  map[string]*anchors
	trials  map[string]*trial
	held    int       // batches claimed and not yet sent
	size    int       // their bytes
	average int       // bytes of a batch, as last seen
	full    bool      // some group has enough for a message
	dry     bool      // the queue had no more just now
	closed  bool      // the queue has been closed
	sent    time.Time // the last message
	spared  time.Time // when messages that are not full are paid for, see pay

	calm context.Context // ends when a drain begins, too
	wait wait            // of that, until something is due
}

// wait is a context that ends at a moment. It is used as long as that stays what is
// waited for: a timer costs wake-ups, and more batches come before the time is over.
type wait struct {
	context.Context
	at  time.Time
	end context.CancelFunc // nil where there is none
}

// until returns a context that ends with parent or at a moment, by the clock of after.
func (w *wait) until(parent context.Context, at time.Time, after After) context.Context {
	if w.end != nil && w.at.Equal(at) && w.Err() == nil {
		return w.Context
	}
	w.over()
	ctx, cancel := context.WithCancel(parent)
	stop := after(time.Until(at), cancel)
	w.Context, w.at, w.end = ctx, at, func() { stop(); cancel() }
	return ctx
}

// over lets go of what the wait holds.
func (w *wait) over() {
	if w.end != nil {
		w.end()
		w.end = nil
	}
}

func newPacker(s *connection, which Lane, both bool) *packer {
	return &packer{s: s, pulse: s.f.pulses.Of("forwarder, " + which.String() + " lane"), lane: which, both: both,
		room: s.f.format.Room(), average: 256, groups: make(map[string]*Group),
		parked: make(map[string]*anchors), trials: make(map[string]*trial)}
}

// linger is how long a batch waits for company: a backlog has enough.
func (l *packer) linger() time.Duration {
	if l.lane != Fresh {
		return 0
	}
	return l.s.f.config.Load().Linger
}

func (l *packer) run(ctx context.Context) {
	defer l.pulse.End()
	defer l.release()
	if l.lane == Fresh {
		defer close(l.s.drained)
	}
	var cancel context.CancelFunc
	l.calm, cancel = context.WithCancel(ctx)
	defer cancel()
	defer l.wait.over()
	if l.lane == Fresh {
		defer context.AfterFunc(l.s.drain, cancel)()
	}
	for ctx.Err() == nil && !l.closed {
		l.pulse.Within(turnTime)
		l.settleTrials()
		l.unpark()
		l.claim(ctx)
		topic, g := l.ready()
		if g == nil {
			if l.lane == Fresh && (l.held == 0 || l.dry || l.stuck()) && l.draining() {
				l.release() // what waits for a paused topic
				l.awaitIdle(ctx)
				return
			}
			continue
		}
		l.pulse.Rest()
		if l.lane == Backlog {
			l.s.behind.Store(true)
		}
		if !l.s.gate.enter(ctx, l.lane) {
			return
		}
		l.pulse.Within(turnTime)
		l.poll(ctx) // what came while we waited travels along
		if l.groups[topic] != g || l.blocked(topic) {
			l.s.gate.leave() // the topic has been refused meanwhile
			continue
		}
		l.send(topic, g)
	}
}

// claim waits until a message is ready to go, more batches have come, or ctx
// ends.
func (l *packer) claim(ctx context.Context) {
	l.full = l.full && l.anyFull() // a topic may have been paused
	l.poll(ctx)
	if _, g := l.ready(); g != nil || !l.dry && !l.stuck() || l.draining() {
		return
	}
	if l.lane == Backlog {
		l.s.behind.Store(false)
	}
	wait := l.calm
	due, ok := l.due()
	if ok {
		wait = l.wait.until(wait, due, l.s.f.after)
	}
	for _, t := range l.trials {
		var cancel context.CancelFunc
		wait, cancel = context.WithCancel(wait)
		defer cancel()
		defer context.AfterFunc(t.ended, cancel)()
	}
	if l.stuck() || ok && time.Until(due) <= spacing {
		l.pulse.Rest()
		<-wait.Done() // so soon that what comes until then can be claimed at once
		return
	}
	l.pulse.Rest()
	l.next(wait, l.lane)
}

// stuck reports whether no more may be claimed: with nothing ready, all that is
// held waits for paused topics.
func (l *packer) stuck() bool { return l.held >= lookaheadBatches || l.size >= lookaheadBytes }

// poll claims what can be had at once, until there is enough for a message.
func (l *packer) poll(ctx context.Context) {
	l.dry = false
	for n := 0; !l.full && !l.stuck() && n < lookaheadBatches && ctx.Err() == nil; n += claimAtOnce {
		l.pulse.Within(turnTime)
		if l.both && l.next(ended, Backlog) > 0 {
			continue
		}
		if l.next(ended, l.lane) == 0 {
			l.dry = true
			return
		}
	}
}

// ended is a context for a look at the queue without waiting.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// next claims batches of one lane of the queue and returns how many.
func (l *packer) next(ctx context.Context, from Lane) int {
	want := min(max(1, (l.room-l.largest())/l.average+1), claimAtOnce)
	entries, err := l.s.f.queue.Next(ctx, from, want)
	if errors.Is(err, ErrClosed) {
		l.closed = true
	}
	for i := range entries {
		l.hold(&entries[i])
	}
	return len(entries)
}

func (l *packer) hold(e *Entry) {
	topic := l.s.f.format.Topic(&e.Batch)
	if l.parks(topic, e) {
		l.park(topic, e)
		return
	}
	g := l.groups[topic]
	if g == nil {
		g = NewGroup(l.s.f.format, l.both)
		g.spare, l.spare = l.spare, nil
		l.groups[topic] = g
	}
	size := g.Add(e, l.dueOf(e))
	l.held++
	l.size += size
	l.average = max(1, (7*l.average+size)/8)
	l.trim(topic, g)
	l.full = l.full || g.Full() && !l.blocked(topic)
}

// dueOf returns when a batch must go, zero if at once.
func (l *packer) dueOf(e *Entry) time.Time {
	linger := l.linger()
	switch {
	case linger <= 0 || e.Backlog:
		return time.Time{}
	case e.Waiting && l.s.behind.Load():
		return earlier(later(l.sent.Add(min(linger, spacing)), l.spared), time.Now().Add(linger))
	case e.Waiting:
		return l.sent.Add(min(linger, spacing))
	}
	return time.Now().Add(linger)
}

// pay has the next messages that sensors wait for, and that are not full, wait until
// this one of size bytes is paid for: while a backlog waits it took the place of a
// full one. They may go as often as messages are to spare, so that the backlog gets
// what the rate can carry; none waits longer than linger.
func (l *packer) pay(size int) {
	spare := l.s.link.Limits().spare(l.room)
	empty := 1 - float64(size)/float64(l.room)
	if l.lane != Fresh || spare == 0 || empty <= 0 || !l.s.behind.Load() {
		return
	}
	now := time.Now()
	l.spared = later(l.spared, now).Add(time.Duration(empty / spare * float64(time.Second)))
	l.spared = earlier(l.spared, now.Add(l.linger()))
}

// largest returns the size of the pile that is nearest to a message, paused
// topics left out.
func (l *packer) largest() int {
	n := 0
	for topic, g := range l.groups {
		if g.largest > n && !l.blocked(topic) {
			n = g.largest
		}
	}
	return n
}

// anyFull reports whether some group has enough for a message, paused topics
// left out.
func (l *packer) anyFull() bool {
	for topic, g := range l.groups {
		if g.Full() && !l.blocked(topic) {
			return true
		}
	}
	return false
}

// ready returns the topic whose message goes next: of those with enough
// batches, or with one that has waited long enough, the one with the oldest.
func (l *packer) ready() (string, *Group) {
	var topic string
	var next *Group
	var oldest Position
	now := time.Now()
	flush := l.draining() || l.lane == Backlog || l.stuck()
	for t, g := range l.groups {
		if !flush && !g.Full() && now.Before(g.Due()) || l.blocked(t) {
			continue
		}
		if first := g.oldest(); next == nil || first < oldest {
			topic, next, oldest = t, g, first
		}
	}
	return topic, next
}

// due returns when the first group must go.
func (l *packer) due() (first time.Time, ok bool) {
	for topic, g := range l.groups {
		if l.trials[topic] != nil {
			continue
		}
		due := g.Due()
		if until := l.s.pauses.until(topic); until.After(due) {
			due = until
		}
		if !ok || due.Before(first) {
			first, ok = due, true
		}
	}
	return first, ok
}

// send packs one message of a group and publishes it. The caller has taken a
// place in the window.
func (l *packer) send(topic string, g *Group) {
	m, sent, err := g.Pack()
	if err != nil {
		l.s.gate.leave()
		positions := make([]Position, len(sent))
		for i := range sent {
			positions[i] = sent[i].Position
		}
		l.s.f.bury("batch cannot be packed, it is set aside as a dead letter", err, positions,
			"device", sent[0].Device, "run", sent[0].Run, "seq", sent[0].Seq)
	} else {
		var t *trial
		if l.s.pauses.refuses(topic) {
			t = newTrial(len(sent))
			l.trials[topic] = t
		}
		l.pulse.Within(l.s.answer) // a network that takes nothing is given up by then
		l.s.publish(l.laneOf(sent), m, sent, t)
		l.sent = time.Now()
		l.pay(len(m.Payload))
		if t != nil {
			l.full = l.anyFull()
			return
		}
	}
	l.drop(topic, g, len(sent))
}

// laneOf returns whose share of the rate a message uses.
func (l *packer) laneOf(entries []Entry) Lane {
	if l.both {
		return l.lane
	}
	if entries[0].Backlog {
		return Backlog
	}
	return Fresh
}

// drop forgets the first n batches that were packed of a group.
func (l *packer) drop(topic string, g *Group, n int) {
	l.held -= n
	l.size -= g.Drop(n)
	if g.Len() == 0 {
		l.spare = cmp.Or(g.spare, l.spare)
		delete(l.groups, topic)
	}
	l.full = l.anyFull()
}

// release gives back what is claimed and not sent.
func (l *packer) release() {
	for topic, t := range l.trials {
		l.drop(topic, l.groups[topic], t.n) // they are in flight
	}
	clear(l.trials)
	for topic := range l.groups {
		l.giveBack(topic)
	}
	for topic := range l.parked {
		l.unparkTopic(topic)
	}
}

// draining reports whether to send everything without lingering. The backlog's
// lane goes on as ever: a stop does not wait for it.
func (l *packer) draining() bool { return l.lane == Fresh && l.s.drain.Err() != nil }

// awaitIdle waits until nothing is in flight.
func (l *packer) awaitIdle(ctx context.Context) {
	l.pulse.Rest()
	for l.s.gate.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-l.s.gate.wake[Fresh]:
		}
	}
}
