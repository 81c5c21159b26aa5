package bridge

import (
	"context"
	"errors"
	"time"
)

// Emit hands a batch on. It never waits for a disk or a network, so a poll loop
// may call it; it may be called from several goroutines, in order for one
// device. The receiver owns b.Readings from then on.
//
// safe, if not nil, is called exactly once when b is safe (on disk, or
// acknowledged by the cloud) with nil, or with an error when b could not be
// made safe and was refused ([ErrFull]): then the sensor must send it again.
// safe is called from any goroutine, possibly before Emit returns; it must not
// block.
type Emit func(b Batch, safe func(error))

// Source reads devices and emits what they say.
type Source interface {
	// Run reads until ctx ends and returns after everything that it started has
	// ended. A device that does not answer is no reason to return.
	Run(ctx context.Context, emit Emit) error
}

// Lane is one of the two orders in which the queue hands out batches.
type Lane uint8

// The lanes.
const (
	Fresh   Lane = iota // queued since the current connection began
	Backlog             // queued before it
)

// String returns "fresh" or "backlog".
func (l Lane) String() string {
	if l == Backlog {
		return "backlog"
	}
	return "fresh"
}

// ErrFull is why a queue refuses a batch: it is full, or its disk does not
// take more, and its policy is to keep the old.
var ErrFull = errors.New("queue is full")

// ErrClosed is returned by a queue that has been closed.
var ErrClosed = errors.New("queue is closed")

// Queue is the durable first-in first-out store of batches. It is safe for
// concurrent use; one process owns it.
//
// Each batch is in one of three states: waiting, claimed (handed out by Next),
// or done. Nothing but Ack, Bury and the queue's own limits makes a batch done.
//
// Who uses a queue asks for the part that it needs.
type Queue interface {
	Intake
	Outgoing
	Account
}

// Intake is the side of a [Queue] that takes batches in.
type Intake interface {
	// Append numbers b and takes it. It does not wait for the disk: b is held in
	// memory until the next commit. safe is as for [Emit]; a batch with safe is
	// committed soon.
	Append(b Batch, safe func(error))
}

// Outgoing is the side of a [Queue] that batches leave by.
type Outgoing interface {
	Marks
	Claims
	Outcomes
}

// Marks is told of connections: they divide the lanes.
type Marks interface {
	// Online marks the begin of a connection: what waits now is backlog.
	Online()
	// Offline marks its end: nobody holds a claim any more, what was claimed
	// waits again.
	Offline()
}

// Claims hands batches out and takes them back.
type Claims interface {
	// Next claims up to max waiting batches of a lane, the oldest first, those
	// released before others. It waits until there is at least one or ctx ends;
	// what can be had at once is returned even when ctx has ended. The entries
	// are read-only. It returns [ErrClosed] when the queue is closed.
	Next(ctx context.Context, lane Lane, max int) ([]Entry, error)
	// Release gives claimed batches back: they wait again.
	Release(positions ...Position)
	// Skip gives claimed batches back, too, but Next passes them over until a
	// batch of the lane before them is released, or the next Online. Who cannot
	// send some batches for now does not have to hold them to get at the others.
	Skip(positions ...Position)
}

// Outcomes is told what became of claimed batches. It does not wait for the disk.
type Outcomes interface {
	// Ack says that the cloud has acknowledged them.
	Ack(positions ...Position)
	// Bury sets them aside as dead letters: the cloud refuses them for good, for
	// cause.
	Bury(cause string, positions ...Position)
}

// Account tells what became of everything.
type Account interface {
	// Ledger returns the account of all batches, taken at one instant.
	Ledger() Ledger
}

// Measure tells what fits in a message. It is pure and safe for concurrent use.
type Measure interface {
	// Fit returns how many of b's readings, from the first, surely fit in one
	// message, and about how many bytes they take in it, in company of others.
	// n is at least 1.
	Fit(b *Batch) (n, size int)
}

// Format is how a sink's messages look. It is pure and safe for concurrent use.
type Format interface {
	Measure
	// Topic returns the topic that b goes to.
	Topic(b *Batch) string
	// Room is what Fit's sizes add up to when there is enough for a full message.
	Room() int
	// Pack packs the first n entries into one message; all have one topic. It
	// takes as many as fit and may share one message: those of one run, one lane
	// and one clock state.
	Pack(entries []Entry) (m Message, n int, err error)
}

// Sink is the way to the cloud.
type Sink interface {
	// Run keeps a connection until ctx ends. For each one that is up it calls
	// serve, whose context ends with the connection, and waits for serve to
	// return before it connects again. When ctx ends it says goodbye.
	Run(ctx context.Context, serve func(ctx context.Context, link Link)) error
}

// Link is one connection of a [Sink].
type Link interface {
	// Publish sends m and returns when it is handed to the network: messages
	// leave in the order of the calls. It blocks while the window is full.
	// done is called exactly once, from any goroutine, also if Publish is
	// overtaken by the end of the connection: with nil when the cloud has
	// acknowledged m, an error marked by [Permanent] when it refuses m for good,
	// one marked by [RefuseTopic] when it refuses m's topic for now, another one
	// when m should be sent again. done must not block.
	Publish(m Message, done func(error))
	// Limits are those in force for this connection.
	Limits() Limits
	// GiveUp ends the connection, whatever state it is in: an outcome that it owes
	// has not come. Every done is called soon then.
	GiveUp()
}

// Limits is what a connection may carry.
type Limits struct {
	Window   int     // messages in flight
	Messages float64 // per second; 0 means no limit
	Bytes    float64 // per second; 0 means no limit
	// Answer is how long the outcome of a message may take. The link sees to it
	// itself; who uses it gives it up after twice as long. 0 means no limit.
	Answer time.Duration
}

// State is a small durable memory for what must survive a restart but is not a
// reading: command ids, the connection number, subscriptions. Values are small
// (64 KiB); keys are [a-z0-9._-]+.
type State interface {
	// Get returns nil, nil for a key that was never put. It waits for nothing
	// that is being written.
	Get(key string) ([]byte, error)
	// Put returns when the value is on disk: it is for what must not be lost.
	Put(key string, value []byte) error
}

// Notebook is a [State] that also takes what may be learned again.
type Notebook interface {
	State
	// Note is Put for a value that may come to the disk later: within half a
	// minute, with all others of that time, so that many keys cost one write. Get
	// gives it at once. A crash may take it; what was there before stays then.
	Note(key string, value []byte) error
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err as a refusal that trying again will not change.
func Permanent(err error) error { return permanent{err} }

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}
