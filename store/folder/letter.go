package folder

import (
	"encoding/binary"
	"errors"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/segment"
)

// DeadLetter is a batch that the cloud refuses for good.
// Its identity outside is still (run, seq): a retried letter is sent as the batch that
// it was.
type DeadLetter struct {
	bridge.Entry
	Cause  string
	Number bridge.Position // its own, in the order of burial
}

// EachLetter calls visit with the letters from number p to last of a segment,
// until it wants no more. It returns where to go on.
// A number without a letter is passed over.
func EachLetter(file *segment.File, p, last bridge.Position, d *block.Decoder,
	visit func(DeadLetter) (bool, error)) (bridge.Position, error) {
	var buf []byte
	for p <= last {
		data, h, err := file.Find(p, buf)
		if err != nil || data == nil || h.First > last {
			return max(p, last+1), err
		}
		buf = data
		entries, _, err := d.Decode(&h, h.Payload(data))
		if err != nil || len(entries) != 1 {
			return p, segment.Damaged("dead letter %d: %w", h.First, errors.Join(err, block.ErrChecksum))
		}
		letter := DeadLetter{Entry: entries[0], Cause: h.Cause, Number: h.First}
		letter.Position = h.Origin
		p = h.Last + 1
		if more, err := visit(letter); !more || err != nil {
			return p, err
		}
	}
	return p, nil
}

// ReadLetters calls visit with the letters of a segment from number p on, and returns
// where to go on. If it finds the segment damaged, it says so in it.
func (s *Stored) ReadLetters(
	p bridge.Position, size int64, visit func(DeadLetter) (bool, error),
) (bridge.Position, error) {
	file := s.File
	if file == nil {
		if s.Suspect != nil {
			return p, s.Suspect
		}
		var err error
		if file, err = segment.Open(s.Path, size); err == nil {
			defer func() { _ = file.Close() }()
			if !s.Verified {
				err = file.Check(&s.Account)
				s.Verified = err == nil
			}
		}
		if err != nil {
			if segment.IsDamage(err) {
				s.Suspect = err
			}
			return p, err
		}
	}
	var d block.Decoder
	p, err := EachLetter(file, p, s.Last, &d, visit)
	if segment.IsDamage(err) {
		s.Suspect = err
	}
	return p, err
}

// EachNewest calls visit with the letters of the newest segment, up to what is damaged. One
// that was sealed is left out: what its letters were was recorded as done after that.
func (sh *Shelf) EachNewest(size int64, visit func(*block.Header)) {
	n := len(sh.Segments)
	if n == 0 || !sh.Segments[n-1].Verified {
		return
	}
	file := sh.Segments[n-1].File
	if file == nil {
		var err error
		file, err = segment.Open(sh.Segments[n-1].Path, size)
		defer func() { _ = file.Close() }()
		if err != nil {
			return
		}
	}
	_ = file.Walk(func(h *block.Header, _ []byte) error {
		visit(h)
		return nil
	})
}

// Letter returns what the books want to know of a dead letter.
func (l *DeadLetter) Letter() books.Letter {
	return books.Letter{Run: l.Run, Seq: l.Seq, Count: bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))},
		At: l.At.UnixMilli()}
}

// OldFile has the dead letters as earlier releases kept them: a bbolt file of
// another kind. They are turned over when a queue finds it.
const OldFile = "dead.db"

// EachOldLetter calls visit with the dead letters of an old file: the key is a
// position, the value the length of the cause (2 bytes), the cause and a block of
// one batch; the key "totals" has the batches and readings of all. total is that, or
// what was found if it is more. damage says what is wrong with the file: then all
// that is whole is taken, also what had been retried or purged before.
func EachOldLetter(path string, visit func(DeadLetter) error) (total bridge.Count, damage, err error) {
	type name struct {
		run string
		seq uint64
	}
	seen := make(map[name]bool)
	var d block.Decoder
	var said bridge.Count
	broken := 0
	damage, err = segment.Pairs(path, func(key, value []byte) error {
		if string(key) == "totals" && len(value) == 24 {
			said.Batches, said.Readings = binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:])
		}
		if len(key) != 8 {
			return nil
		}
		l, ok := parseOldLetter(value, &d)
		if !ok {
			broken++
			return nil
		}
		// Free leaves have older copies of the same letters.
		if seen[name{l.Run, l.Seq}] {
			return nil
		}
		seen[name{l.Run, l.Seq}] = true
		total = total.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
		return visit(l)
	})
	if damage == nil && broken > 0 {
		damage = segment.Damaged("%d dead letters are not whole", broken)
	}
	if damage == nil && broken == 0 || total.Batches+uint64(broken) >= said.Batches {
		said = bridge.Count{} // that of a leaf that is free may be of another time
	}
	return total.Add(Surplus(said, total)), damage, err
}

// It is whole if the checksum of its block is right; the cause has none.
func parseOldLetter(v []byte, d *block.Decoder) (DeadLetter, bool) {
	if len(v) < 2 {
		return DeadLetter{}, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(v))
	if len(v) < n {
		return DeadLetter{}, false
	}
	h, payload, err := block.Open(v[n:])
	if err != nil {
		return DeadLetter{}, false
	}
	entries, _, err := d.Decode(&h, payload)
	if err != nil || len(entries) != 1 {
		return DeadLetter{}, false
	}
	return DeadLetter{Entry: entries[0], Cause: string(v[2:n])}, true
}

// Surplus returns by how much a is more than b.
// Batches and readings are counted apart and never below zero.
func Surplus(a, b bridge.Count) bridge.Count {
	return bridge.Count{Batches: a.Batches - min(a.Batches, b.Batches), Readings: a.Readings - min(a.Readings, b.Readings)}
}

// DeadDir has the dead letters: segments as those of the queue. Each block has one
// batch, what the cloud has against it, and the position that it had. The letters
// are numbered in the order in which they were buried.
const DeadDir = "dead"

// QuarantineDir is where damaged files go, in the folder of the queue.
const QuarantineDir = "quarantine"
