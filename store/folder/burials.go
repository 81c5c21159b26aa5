package folder

import (
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
)

// Burial is a dead letter that is not yet on disk.
type Burial struct {
	Position bridge.Position
	Batch    bridge.Batch // if it was in memory, else it is in a segment
	InMemory bool
	Counted  bool // in what is done of its segment
	Cause    string
	Count    bridge.Count
	Safe     func(error)
}

// Burials are the dead letters that are not yet on disk.
type Burials []Burial

// In reports whether a segment has one of them: until it is on disk the segment
// must stay.
func (b Burials) In(s *Stored) bool {
	for i := range b {
		if p := b[i].Position; b[i].Counted && p >= s.First && p <= s.Last {
			return true
		}
	}
	return false
}

// Written takes note that the batch at p is on disk as it was, after all.
func (b Burials) Written(p bridge.Position) {
	for i := range b {
		if b[i].Position == p {
			b[i].Counted = true
		}
	}
}

// Safes returns who waits for them: they are forgotten.
func (b Burials) Safes() (safes []func(error)) {
	for i := range b {
		if b[i].Safe != nil {
			safes = append(safes, b[i].Safe)
			b[i].Safe = nil
		}
	}
	return safes
}

// Settled returns what of done may be recorded, and how much of each segment of
// the shelf that is: not what is on its way to the dead letters, which a kill
// would take, and not what is untold, which nothing would name after one. How much of a
// segment is untold is not known, so nothing of it is recorded then.
func (b Burials) Settled(done, untold books.Spans, sh *Shelf) (books.Spans, map[bridge.Position]bridge.Count) {
	buried := make([]bridge.Position, len(b))
	for i := range b {
		buried[i] = b[i].Position
	}
	counts := make(map[bridge.Position]bridge.Count, len(sh.Segments))
	out := slices.Clone(untold)
	for _, s := range sh.Segments {
		if untold.Touch(s.First, s.Last+1) {
			out.Add(s.First, s.Last+1)
		} else if s.Done.Batches > 0 {
			counts[s.First] = s.Done
		}
	}
	for i := range b {
		if s := sh.Of(b[i].Position); s != nil && b[i].Counted && !untold.Touch(s.First, s.Last+1) {
			counts[s.First] = counts[s.First].Sub(b[i].Count)
		}
	}
	return done.Minus(out).Without(buried...), counts
}
