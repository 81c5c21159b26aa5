// Package upkeep knows what the gateway writes to a device by itself, and when:
// values on each connection, values that are written again and again, and what is
// owed when those end. It writes nothing and knows no wire: the goroutine of the
// bus asks what is due ([Keeper.Due]), writes it, and tells how it went.
package upkeep

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
)

// Write is a value of a field.
type Write struct {
	Field *point.Field
	Value bridge.Value
	From  *point.Field // what is written is what this one has, and Value more; nil is Value
}

// Keep is a field that is written again and again.
type Keep struct {
	Field *point.Field
	Value bridge.Value   // bad: that of the last command, for a while
	Then  []bridge.Value // what follows it, one a turn, before it comes again
	From  *point.Field   // the value is what this one has, and Value more; nil is Value
	Every time.Duration  // at the latest
	For   time.Duration  // how long a command is repeated
	Stop  bridge.Value   // written when it ends; bad: nothing is
}

// Spec is what is written to a device unasked. It is not changed.
type Spec struct {
	BeforeWrite []Write // before each write of a command, in order
	OnConnect   []Write // on each connection and when the device is back, in order
	Keeps       []Keep
}

// Constant reports whether a field is kept at a constant.
func (s *Spec) Constant(field string) bool {
	return slices.ContainsFunc(s.Keeps, func(k Keep) bool { return k.Field.Name == field && k.Value.Good() })
}

// Tell says what is written, for people, a sentence each.
func (s *Spec) Tell() []string {
	var all []string
	for _, list := range []struct {
		when   string
		writes []Write
	}{{"on each connection", s.OnConnect}, {"before each command", s.BeforeWrite}} {
		if len(list.writes) > 0 {
			all = append(all, list.when+": "+tell(list.writes))
		}
	}
	for _, k := range s.Keeps {
		text := fmt.Sprintf("each %v: %s", setting.Duration(k.Every), k.Field.Name)
		if k.From != nil {
			text += " = " + k.From.Name
			if n := int64(k.Value.Bits()); n > 0 {
				text += fmt.Sprintf(" + %d", n)
			} else if n < 0 {
				text += fmt.Sprintf(" - %d", -n)
			}
		} else if k.Value.Good() {
			text += fmt.Sprintf(" = %v", k.Value)
			for _, v := range k.Then[:min(len(k.Then), mostTold)] {
				text += fmt.Sprintf(", then %v", v)
			}
			if n := len(k.Then) - mostTold; n > 0 {
				text += fmt.Sprintf(" and %d more", n)
			}
		} else {
			text += fmt.Sprintf(" as the last command says, for %v", setting.Duration(k.For))
		}
		if k.Stop.Good() {
			text += fmt.Sprintf("; at the end %v", k.Stop)
		}
		all = append(all, text)
	}
	return all
}

// mostTold is how many of the values that follow one another a sentence has.
const mostTold = 3

func tell(writes []Write) string {
	parts := make([]string, len(writes))
	for i, w := range writes {
		parts[i] = fmt.Sprintf("%s = %v", w.Field.Name, w.Value)
	}
	return strings.Join(parts, ", ")
}

// Bounds of the pauses between two runs of on_connect: a device that ends the
// connection after each request is not written to all the time.
const (
	leastPause = 10 * time.Second
	mostPause  = 5 * time.Minute
)

// Bounds of the pause after a keep that failed.
const (
	leastRetry = 50 * time.Millisecond
	mostRetry  = time.Second
	// silences is how many keeps in a row may be silent before the device gets
	// no more than a tenth of the line for them.
	silences  = 3
	share     = 10
	mostQuiet = time.Minute
	// releases is how often a stop value is tried once the device is not the bus's
	// any more; else it is until it is written.
	releases = 3
)

// Keeper is what is due of a spec. It has one owner.
type Keeper struct {
	spec    Spec
	greeted int64     // the connection that on_connect was written on
	ran     time.Time // when it was begun last
	again   time.Time // not before
	pause   pause.Growing
	refused bool // it failed last
	keeps   []kept
	off     bool
	rest    time.Time // while it is off: no stop value is written after
	ended   bool
}

// never is no connection.
const never = -1

// kept is a keep and how it is going.
type kept struct {
	Keep
	value  bridge.Value // bad: it does not go on
	turn   int          // of its values, if it has several
	until  time.Time    // the end of a command's time
	owed   bool         // something was written: the stop value is owed
	next   time.Time
	failed int // in a row
	silent int // of these, without any answer, in a row
}

// New returns a keeper of spec: constants are due at once, and stop values of what
// commands set, as nobody knows what an earlier run left in the device.
func New(spec Spec) *Keeper {
	k := &Keeper{spec: spec, greeted: never, pause: pause.Growing{Least: leastPause, Most: mostPause},
		keeps: make([]kept, len(spec.Keeps))}
	for i, keep := range spec.Keeps {
		k.keeps[i] = kept{Keep: keep}
		k.keeps[i].begin(time.Time{})
	}
	return k
}

// Turn is what is written in one turn of the bus, in order.
type Turn struct {
	Writes []Write
	what   what
	keep   int // index; of a greeting none
	begun  time.Time
}

// what is the kind of a turn.
type what uint8

const (
	greeting what = iota // on_connect
	keeping
	release // a stop value
)

// String names the turn for people.
func (t *Turn) String() string {
	switch t.what {
	case greeting:
		return "on_connect"
	case release:
		return "stop value of " + t.last()
	}
	return "keep of " + t.last()
}

// Rare reports whether the turn is worth a line each time.
func (t *Turn) Rare() bool { return t.what != keeping }

func (t *Turn) last() string { return t.Writes[len(t.Writes)-1].Field.Name }

// Due returns what is to be written now or within the time ahead, nil if nothing
// is. connection counts the connections of the bus; a device that is away is not
// greeted.
func (k *Keeper) Due(now time.Time, ahead time.Duration, connection int64, away bool) *Turn {
	if at := k.greets(connection, away); !at.IsZero() && !now.Before(at) {
		if now.Sub(k.ran) > 2*k.pause.Last() {
			k.pause.Reset() // the connection held
		}
		k.ran, k.again = now, now.Add(k.pause.Next())
		return &Turn{Writes: k.spec.OnConnect, what: greeting, begun: now}
	}
	k.expire(now)
	var first *kept
	index := 0
	for i := range k.keeps {
		if s := &k.keeps[i]; s.busy() && !s.next.After(now.Add(ahead)) && (first == nil || s.next.Before(first.next)) {
			first, index = s, i
		}
	}
	if first == nil {
		return nil
	}
	t := &Turn{what: keeping, keep: index, begun: now}
	value := first.value
	if first.turn > 0 {
		value = first.Then[first.turn-1]
	}
	if !first.value.Good() {
		t.what, value = release, first.Stop
	}
	if !first.Value.Good() { // a command is unlocked each time
		t.Writes = append(t.Writes, k.spec.BeforeWrite...)
	}
	w := Write{Field: first.Field, Value: value}
	if t.what == keeping {
		w.From = first.From
	}
	t.Writes = append(t.Writes, w)
	first.owed = true
	return t
}

// greets returns when on_connect is due; zero is not.
func (k *Keeper) greets(connection int64, away bool) time.Time {
	if len(k.spec.OnConnect) == 0 || k.off || away || k.greeted == connection {
		return time.Time{}
	}
	if k.again.IsZero() {
		return time.Unix(1, 0) // long ago
	}
	return k.again
}

// expire ends commands whose time is over, and stop values that are too late.
func (k *Keeper) expire(now time.Time) {
	for i := range k.keeps {
		s := &k.keeps[i]
		if s.value.Good() && !s.until.IsZero() && !now.Before(s.until) {
			s.end(now)
		}
		if k.off && !now.Before(k.rest) {
			s.owed = false
		}
	}
}

// begin has a constant kept, or the stop value of commands written.
func (s *kept) begin(now time.Time) {
	s.value, s.next, s.failed, s.silent = s.Value, now, 0, 0
	s.owed = !s.Value.Good() && s.Stop.Good()
}

// end has the stop value written, if there is one and it is owed.
func (s *kept) end(now time.Time) {
	s.value, s.until = bridge.Value{}, time.Time{}
	s.next, s.failed, s.silent = now, 0, 0
	s.owed = s.owed && s.Stop.Good()
}

// busy reports whether something is to be written for the keep, some time.
func (s *kept) busy() bool { return s.value.Good() || s.owed }

// Next returns when something is due; zero is nothing.
func (k *Keeper) Next(connection int64, away bool) time.Time {
	next := k.greets(connection, away)
	for i := range k.keeps {
		s := &k.keeps[i]
		if !s.busy() {
			continue
		}
		at := s.next
		if s.value.Good() && !s.until.IsZero() && s.until.Before(at) {
			at = s.until
		}
		if at.IsZero() {
			at = time.Unix(1, 0)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// Outcome is how a turn went.
type Outcome struct {
	Now        time.Time
	Connection int64         // that it began on
	Busy       time.Duration // how long it took
	Answered   bool          // the device said something
	Err        error
}

// Done takes in how a turn went, and reports whether trouble begins with it or
// ends.
func (k *Keeper) Done(t *Turn, o Outcome) (begins, ends bool) {
	if t.what == greeting {
		return k.greet(o)
	}
	s := &k.keeps[t.keep]
	if o.Err == nil {
		ends = s.failed > 0
		s.failed, s.silent = 0, 0
		s.next = t.begun.Add(s.Every)
		if s.turn++; s.turn > len(s.Then) {
			s.turn = 0
		}
		if t.what == release {
			s.owed = false
		}
		return false, ends
	}
	begins = s.failed == 0
	s.failed++
	s.silent++
	if o.Answered {
		s.silent = 0
	}
	if t.what == release && k.ended && s.failed >= releases {
		s.owed = false
		return begins, false
	}
	retry := min(max(s.Every/4, leastRetry), mostRetry)
	switch {
	case s.silent >= silences: // it is off: others have the line
		retry = min(max(retry, (share-1)*o.Busy), mostQuiet)
	case o.Answered: // a refusal that stays
		retry = min(retry<<min(max(s.failed-silences, 0), 10), max(s.Every, retry))
	}
	s.next = o.Now.Add(retry)
	return begins, false
}

// greet takes in how on_connect went.
func (k *Keeper) greet(o Outcome) (begins, ends bool) {
	begins, ends = o.Err != nil && !k.refused, o.Err == nil && k.refused
	k.refused = o.Err != nil
	if k.greeted = o.Connection; o.Err != nil {
		k.greeted = never
	}
	return begins, ends
}

// Owes reports whether a stop value is still to be written.
func (k *Keeper) Owes() bool {
	return slices.ContainsFunc(k.keeps, func(s kept) bool { return s.owed })
}

// Lost notes that the device was away: it is greeted when it is back.
func (k *Keeper) Lost() { k.greeted = never }

// Command has a value that was written by a command repeated for as long as its
// keep says.
func (k *Keeper) Command(field string, v bridge.Value, now time.Time) {
	for i := range k.keeps {
		if s := &k.keeps[i]; s.Field.Name == field && !s.Value.Good() {
			s.value, s.until, s.owed = v, now.Add(s.For), true
			s.next, s.failed, s.silent = now.Add(s.Every), 0, 0
		}
	}
}

// Off ends all of it, within rest: stop values that are owed are written until
// then. It goes on when off is false: constants at once, commands no more.
func (k *Keeper) Off(off bool, now time.Time, rest time.Duration) {
	if k.off == off {
		return
	}
	k.off, k.rest = off, now.Add(rest)
	for i := range k.keeps {
		s := &k.keeps[i]
		switch {
		case off:
			s.end(now)
		case !k.ended:
			s.begin(now)
		}
	}
}

// End ends all of it for good: what is due then are the stop values.
func (k *Keeper) End(now time.Time) {
	k.spec.OnConnect = nil
	for i := range k.keeps {
		k.keeps[i].end(now)
	}
	k.ended = true
}

// Inherit takes over what goes on with the keeper of the device as it was
// configured before; old is then left with what is to be ended.
func (k *Keeper) Inherit(old *Keeper) {
	for i := range k.keeps {
		for j := range old.keeps {
			s, was := &k.keeps[i], &old.keeps[j]
			if s.Field.Table != was.Field.Table || s.Field.Own() != was.Field.Own() || s.Field.Mask != was.Field.Mask ||
				s.Field.Shift != was.Field.Shift || s.Value.Good() != was.Value.Good() || (s.From == nil) != (was.From == nil) {
				continue
			}
			if s.owed = was.owed; s.Value == was.Value && slices.Equal(s.Then, was.Then) {
				s.next, s.turn = was.next, was.turn
			}
			if !s.Value.Good() && was.value.Good() {
				s.value, s.until = was.value, was.until
			}
			was.value, was.owed = bridge.Value{}, false
		}
	}
}
