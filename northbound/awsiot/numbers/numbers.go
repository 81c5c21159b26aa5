// Package numbers gives the points of a gateway the numbers that format protobuf tells
// them by, and keeps them: a number that was given is never another point's, over
// restarts and changes of the configuration, also when its point is gone.
//
// One goroutine gives numbers, off the way of the readings: until a point has one its
// messages bring its name.
package numbers

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
)

const (
	// keyCount is where the state has how many sheets there are, and keySheet with a
	// number where one is.
	keyCount = "awsiot.sheets"
	keySheet = "awsiot.sheet."
	// mostPoints bounds what a stream of ever new names makes of the state: about 10 MB.
	mostPoints = 1 << 17
	// waiting is how many batches may wait for numbers: others are seen again.
	waiting = 64
)

// Keeper has the numbers. Its methods are safe for concurrent use.
type Keeper struct {
	state     bridge.State
	catalogue *bridge.Catalogue
	log       *slog.Logger
	given     func() // called when there are new ones; it does not block
	book      atomic.Pointer[proto.Book]
	asked     chan *bridge.Batch
	points    int  // that have numbers; owned by Run
	most      int  // points
	full      bool // it was told; owned by Run
}

// Open reads the numbers that were given. If they cannot be read none are given, and
// none used: messages bring names then. A nil state forgets them, and a nil catalogue
// knows no types. given is called when numbers were given; it must not block.
func Open(state bridge.State, catalogue *bridge.Catalogue, log *slog.Logger, given func()) *Keeper {
	k := &Keeper{state: state, catalogue: catalogue, log: log, given: given, asked: make(chan *bridge.Batch, waiting),
		most: mostPoints}
	if state == nil {
		return k
	}
	book, err := k.read()
	if err != nil {
		log.Error("the numbers of points cannot be read, messages bring their names", "err", err)
		k.asked = nil // nobody can ask
		return k
	}
	k.book.Store(book)
	return k
}

// read returns the numbers that were given, nil for none.
func (k *Keeper) read() (*proto.Book, error) {
	text, err := k.state.Get(keyCount)
	if err != nil || text == nil {
		return nil, err
	}
	count, err := strconv.Atoi(string(text))
	if err != nil || count < 0 || count > proto.MostSheets {
		return nil, fmt.Errorf("%q is no count of sheets", text)
	}
	sheets := make([]*proto.Sheet, count)
	for i := range sheets {
		text, err := k.state.Get(keySheet + strconv.Itoa(i+1))
		if err != nil {
			return nil, err
		}
		s, err := proto.ReadSheet(text)
		if err == nil && s.Number != uint32(i+1) {
			err = fmt.Errorf("it has the number %d", s.Number)
		}
		if err != nil {
			return nil, fmt.Errorf("sheet %d of %d: %w", i+1, count, err)
		}
		sheets[i] = s
		k.points += len(s.Points)
	}
	return proto.NewBook(sheets), nil
}

// Book returns the numbers as they are now; nil has none.
func (k *Keeper) Book() *proto.Book { return k.book.Load() }

// Unknown has the points of b that have no number get one. It does not wait: what cannot
// be taken now is seen again with the next batch.
func (k *Keeper) Unknown(b *bridge.Batch) {
	batch := *b
	select {
	case k.asked <- &batch:
	default:
	}
}

// Run gives numbers until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-k.asked:
			if k.give(b) {
				k.given()
			}
		}
	}
}

// give gives numbers to what has none of b; it reports whether it did. They are on disk
// before anybody sees them.
func (k *Keeper) give(b *bridge.Batch) bool {
	book := k.book.Load()
	var points []proto.Point
	var neighbours []string
	var hints map[string]proto.Hint
	for i := range b.Readings {
		r := &b.Readings[i]
		switch {
		case book.Numbered(b.Device, r.Point):
			neighbours = append(neighbours, r.Point)
		case r.Value.Good():
			if hints == nil {
				hints = k.hints(b.Device)
			}
			h, ok := hints[r.Point]
			if !ok {
				h.Places = -1
			}
			points = append(points, proto.PointFor(r.Point, r.Value, h).Lasting())
		}
	}
	if len(points) == 0 {
		return false
	}
	if k.points+len(points) > k.most {
		return k.tooMany()
	}
	next, changed := book.Add(b.Device, points, neighbours)
	if len(changed) == 0 {
		return k.tooMany()
	}
	if err := k.keep(next, changed); err != nil {
		k.log.Warn("points cannot be given numbers, messages bring their names", "device", b.Device, "err", err)
		return false
	}
	k.points += len(points)
	k.book.Store(next)
	return true
}

// tooMany says once that there will be no more.
func (k *Keeper) tooMany() bool {
	if !k.full {
		k.full = true
		k.log.Warn("there are as many numbers of points as there can be: messages bring the names of new ones",
			"points", k.points, "sheets", k.book.Load().Len())
	}
	return false
}

// keep puts what has changed on disk. A crash in between leaves sheets that nobody
// counts, and that nobody has seen.
func (k *Keeper) keep(book *proto.Book, changed []*proto.Sheet) error {
	if k.state == nil {
		return nil
	}
	for _, s := range changed {
		if err := k.state.Put(keySheet+strconv.Itoa(int(s.Number)), s.Append(nil)); err != nil {
			return err
		}
	}
	if book.Len() == k.book.Load().Len() {
		return nil
	}
	return k.state.Put(keyCount, strconv.AppendInt(nil, int64(book.Len()), 10))
}

// hints returns what the catalogue knows of a device's points.
func (k *Keeper) hints(device string) map[string]proto.Hint {
	hints := make(map[string]proto.Hint)
	if k.catalogue == nil {
		return hints
	}
	d, _ := k.catalogue.Device(device)
	for i := range d.Points {
		hints[d.Points[i].Name] = proto.HintOf(&d.Points[i])
	}
	return hints
}
