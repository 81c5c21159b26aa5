package bridge

import (
	"context"
	"sync/atomic"
)

// A topic that the cloud refuses may have any number of batches. Its lane holds
// no more of them than the next message takes and has the queue skip the rest,
// so that they stand in nobody's way. The held ones are tried when the topic's
// pause is over, one message at a time, and stay held until they are taken: then
// the queue hands out again what was skipped.

// trial is a message of a refused topic whose outcome is awaited. Its batches
// are still in their group.
type trial struct {
	n     int         // batches
	over  atomic.Bool // the outcome is known
	taken atomic.Bool // or refused for good: they are done
	ended context.Context
	end   context.CancelFunc
}

func newTrial(n int) *trial {
	t := &trial{n: n}
	t.ended, t.end = context.WithCancel(context.Background())
	return t
}

// outcome tells how it ended.
func (t *trial) outcome(done bool) {
	t.taken.Store(done)
	t.over.Store(true)
	t.end()
}

// anchors are, for each lane of the queue, the first batch of a topic that was
// skipped, which is still claimed: its release lets the queue hand them all out
// again. 0 means none.
type anchors [2]Position

// before reports whether a batch before p was skipped.
func (a *anchors) before(p Position) bool {
	return a[Fresh] != 0 && a[Fresh] < p || a[Backlog] != 0 && a[Backlog] < p
}

// parks reports whether e is not to be held now: its topic is refused and enough
// of it that comes before e is held, or a trial is under way, or batches before it
// are skipped already.
func (l *packer) parks(topic string, e *Entry) bool {
	if l.trials[topic] != nil {
		return true
	}
	g := l.groups[topic]
	first := g != nil && e.Position < g.newest() // it was in flight when others were refused
	if l.parked[topic] != nil {
		return !first || !l.s.pauses.refuses(topic)
	}
	return !first && l.enough(topic)
}

// park has the queue skip e.
func (l *packer) park(topic string, e *Entry) {
	a := l.parked[topic]
	if a == nil {
		a = new(anchors)
		l.parked[topic] = a
	}
	lane := Fresh
	if e.Backlog {
		lane = Backlog
	}
	skip := e.Position
	if a[lane] == 0 || skip < a[lane] {
		skip, a[lane] = a[lane], skip
	}
	if skip != 0 {
		l.s.f.queue.Skip(skip)
	}
}

// trim parks the newest of a refused topic while what comes before is enough.
func (l *packer) trim(topic string, g *Group) {
	for g.Len() > 1 && g.size-g.sizeOfNewest() >= l.most() && l.s.pauses.refuses(topic) {
		e, size := g.dropNewest()
		l.held--
		l.size -= size
		l.park(topic, &e)
	}
}

// enough reports whether a topic is refused and no more of it is to be held.
func (l *packer) enough(topic string) bool {
	g := l.groups[topic]
	return g != nil && l.s.pauses.refuses(topic) && g.size >= l.most()
}

// most is how many bytes of a refused topic are held: a message, or less if very
// many are refused.
func (l *packer) most() int { return min(l.room, lookaheadBytes/4/l.s.pauses.count()) }

// giveBack releases what is held of a topic.
func (l *packer) giveBack(topic string) {
	g := l.groups[topic]
	l.held -= g.Len()
	l.size -= g.size
	delete(l.groups, topic)
	for _, p := range g.piles {
		for i := range p.entries {
			l.s.f.queue.Release(p.entries[i].Position)
		}
	}
}

// unpark has the queue hand out again what it skipped of topics that are refused
// no more, or of which nothing is held.
func (l *packer) unpark() {
	for topic := range l.parked {
		if l.groups[topic] == nil || !l.s.pauses.refuses(topic) {
			l.unparkTopic(topic)
		}
	}
}

func (l *packer) unparkTopic(topic string) {
	for _, p := range l.parked[topic] {
		if p != 0 {
			l.s.f.queue.Release(p)
		}
	}
	delete(l.parked, topic)
}

// settleTrials deals with the trials whose outcome is known.
func (l *packer) settleTrials() {
	for topic, t := range l.trials {
		if !t.over.Load() {
			continue
		}
		delete(l.trials, topic)
		if t.taken.Load() {
			l.drop(topic, l.groups[topic], t.n)
		} else if a := l.parked[topic]; a != nil && a.before(l.groups[topic].newest()) {
			l.unparkTopic(topic) // that one goes first
		}
	}
}

// blocked reports whether a topic's batches cannot be sent now.
func (l *packer) blocked(topic string) bool {
	return l.trials[topic] != nil || !l.s.pauses.until(topic).IsZero()
}
