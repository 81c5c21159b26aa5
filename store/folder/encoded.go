package folder

import (
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/journal"
)

// Encoded is a block on its way to the disk.
type Encoded struct {
	Header block.Header
	Bytes  []byte
}

// EncodeLeft makes the blocks of what a process that was killed has left, of at most so
// many batches and readings each. h says of the first of them when it is, and what is before it.
func EncodeLeft(
	e *block.Encoder, left *journal.Found, h block.Header, most bridge.Count,
) (blocks []Encoded, err error) {
	for part := range journal.Parts(left.Batches, int(most.Batches), int(most.Readings)) {
		h := block.Header{Run: left.Run, Seq: uint64(part[0].Position - left.Before),
			Wall: h.Wall, Uptime: h.Uptime, Mono: part[len(part)-1].Mono, Before: h.Before}
		if n := len(blocks); n > 0 {
			h.Before = blocks[n-1].Header.Before.Add(blocks[n-1].Header.Count)
		}
		data, err := e.Encode(&h, part)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, Encoded{h, slices.Clone(data)})
	}
	return blocks, nil
}
