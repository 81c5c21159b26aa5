package folder

import (
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/segment"
)

// Blocks reads blocks back from the segments of a queue. Besides the one that is
// written to at most one is open. Its owner's lock guards it, and the files of the
// segments.
type Blocks struct {
	ended   bool    // nothing is opened any more
	open    *Stored // besides the writer's
	decoder block.Decoder
	block   []byte
}

// Read reads from s, whose file grows to size, the block with the first batch at
// or after p. There may be none.
func (b *Blocks) Read(s *Stored, p bridge.Position, size int64) ([]bridge.Entry, *block.Header, error) {
	if s.File == nil {
		if err := b.Open(s, size); err != nil {
			return nil, nil, err
		}
	}
	data, h, err := s.File.Find(p, b.block)
	if err != nil || data == nil {
		return nil, nil, err
	}
	b.block = data
	entries, _, err := b.decoder.Decode(&h, h.Payload(data))
	if err != nil {
		return nil, nil, segment.Damaged("block %d: %w", h.First, err)
	}
	return entries, &h, nil
}

// Open opens a sealed segment, in place of the one that was open.
func (b *Blocks) Open(s *Stored, size int64) error {
	if b.ended {
		return bridge.ErrClosed // nobody would close it again
	}
	b.Close(b.open)
	file, err := segment.Open(s.Path, size)
	if err != nil {
		return err
	}
	s.File = file
	b.open = s
	if s.Verified {
		return nil
	}
	if err := file.Check(&s.Account); err != nil {
		return err
	}
	s.Verified = true
	return nil
}

// Close closes s if it is the one that is open for reading.
func (b *Blocks) Close(s *Stored) {
	if s != nil && b.open == s {
		s.Close()
		b.open = nil
	}
}

// End closes what is open, for good.
func (b *Blocks) End() {
	b.Close(b.open)
	b.ended = true
}

// Has reports whether a segment has the batch at a position. One that was done with
// before it was ever written is not there, though its position lies between others'.
func (b *Blocks) Has(s *Stored, p bridge.Position, size int64) bool {
	entries, _, err := b.Read(s, p, size)
	return err == nil && slices.ContainsFunc(entries, func(e bridge.Entry) bool { return e.Position == p })
}
