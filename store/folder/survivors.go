package folder

import (
	"fmt"
	"slices"
	"syscall"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/segment"
)

// Survivors is what a damaged segment still has.
type Survivors struct {
	Positions books.Spans
	Waiting   bridge.Count // not done
	Done      bridge.Count
}

// SurvivorsOf counts what was found in a segment, which may be nothing; isDone says
// which of its batches are done.
func SurvivorsOf(found *segment.Salvaged, isDone func(bridge.Position) bool) (kept Survivors) {
	if found == nil {
		return kept
	}
	var d block.Decoder
	for i := range found.Blocks {
		b := &found.Blocks[i]
		data, err := found.Read(b)
		if err != nil {
			continue
		}
		entries, _, err := d.Decode(&b.Header, b.Payload(data))
		if err != nil {
			continue
		}
		for i := range entries {
			n := bridge.Count{Batches: 1, Readings: uint64(len(entries[i].Readings))}
			p := entries[i].Position
			kept.Positions.Add(p, p+1)
			if isDone(p) {
				kept.Done = kept.Done.Add(n)
			} else {
				kept.Waiting = kept.Waiting.Add(n)
			}
		}
	}
	return kept
}

// doneIn counts what of a segment is done by reading it.
func (s *Stored) doneIn(done books.Spans) (bridge.Count, error) {
	found, err := segment.Salvage(s.Path, s.First, s.Last+1)
	if err != nil {
		return bridge.Count{}, err
	}
	defer func() { _ = found.Close() }()
	kept := SurvivorsOf(found, done.Has)
	if found.Unread > 0 {
		return bridge.Count{}, fmt.Errorf("not all of %s can be read: %w", s.Path, syscall.EIO)
	}
	return kept.Done, nil
}

// NameLetters leaves tombstones for the letters from..last that are not among the
// survivors. All were told to be dead under their names; those between two survivors of
// one run can be named once more.
func (k *Survivors) NameLetters(b *books.Books, from, last bridge.Position, found []segment.Found) {
	for _, g := range k.Positions.Missing(from, last+1) {
		i := slices.IndexFunc(found, func(f segment.Found) bool { return f.First >= g.To })
		if i <= 0 {
			continue
		}
		before, after := &found[i-1], &found[i]
		if before.Run != after.Run || after.Seq < before.Seq+2 {
			continue
		}
		n := bridge.Count{Batches: uint64(g.To - g.From),
			Readings: Surplus(after.Before, before.Before.Add(before.Count)).Readings}
		b.AddStone(books.Stone{Run: before.Run, First: before.Seq + 1, Last: after.Seq - 1, Count: n, Cause: books.Damaged})
	}
}
