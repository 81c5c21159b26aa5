package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"fieldbridge/bridge"
)

// The layout of a block is described in format.md.
const (
	blockMagic = "FBQB"
	// Version is the version of the blocks that an [Encoder] makes. Version 1,
	// which is read, has a byte for a reason and nothing behind its header.
	Version = 2

	fixedSize = 116 // of a header, without what is optional

	flagZstd = 1 // the payload is one zstd frame

	runLength = 8 // bytes of a run id

	// What a block may hold; the encoder stays far below.
	maxBlockBatches  = 1 << 20
	maxBlockReadings = 1 << 20
	maxPayload       = 64 << 20
	// MaxHeader is the most that a header takes, in bytes.
	MaxHeader = 1 << 10
)

// What may follow the fixed part of a header: a byte that says what, a uvarint
// of the length, and the content. What is not known is passed over.
const (
	tailOwner  = 1
	tailCause  = 2
	tailOrigin = 3
)

// Header is what is known of a block without decoding it.
type Header struct {
	Run    string
	First  bridge.Position // of the first batch
	Last   bridge.Position // of the last batch
	Seq    uint64          // of the first batch; a block holds batches of one run
	Count  bridge.Count    // in the block
	Before bridge.Count    // in all blocks before it in this folder
	Wall   int64           // when it was written, Unix ms
	Uptime int64           // the run time of the folder then, ms
	Mono   int64           // the run time of the run then, ms
	Oldest int64           // acquisition of the batches, Unix ms
	Newest int64

	// Owner is whose the batches are, if they are not the gateway's own.
	Owner string
	// Cause is why the cloud refuses them, in a block of a dead letter.
	Cause string
	// Origin is the position that a dead letter had in the queue: First and Last
	// number the dead letters.
	Origin bridge.Position

	version  byte
	flags    byte
	size     int // length of the header
	raw      int // length of the payload before compression
	payload  int // length of the payload
	checksum uint32
}

// polynomial is the polynomial of the checksums.
var polynomial = crc32.MakeTable(crc32.Castagnoli)

var errHeader = errors.New("its header makes no sense")

// ErrChecksum is what is wrong with a block whose checksum does not come out.
var ErrChecksum = errors.New("its checksum is wrong")

// Length returns the length of the whole block, in bytes.
func (h *Header) Length() int { return h.size + h.payload }

// Payload returns what follows the header in the block that h was read from.
func (h *Header) Payload(block []byte) []byte { return block[h.size:] }

// appendTail appends what is optional.
// Each is left out when it is empty: the blocks of readings have none, and cost the
// fixed part alone.
func (h *Header) appendTail(b []byte) []byte {
	text := func(what byte, s string) {
		if s != "" {
			b = append(binary.AppendUvarint(append(b, what), uint64(len(s))), s...)
		}
	}
	text(tailOwner, h.Owner)
	text(tailCause, h.Cause)
	if h.Origin != 0 {
		text(tailOrigin, string(binary.AppendUvarint(nil, uint64(h.Origin))))
	}
	return b
}

// parseTail reads what is optional. What a later program wrote there is no error.
func (h *Header) parseTail(b []byte) error {
	in := NewParser(b)
	for len(in.b) > 0 {
		what := in.byte()
		content := in.bytes(in.Uint())
		switch what {
		case tailOwner:
			h.Owner = string(content)
		case tailCause:
			h.Cause = string(content)
		case tailOrigin:
			p := NewParser(content)
			if h.Origin = bridge.Position(p.Uint()); !p.Done() {
				in.Fail()
			}
		}
	}
	if !in.Done() {
		return errHeader
	}
	return nil
}

// Put writes h over the header that block has, but for what is optional, and the
// checksum of all of it.
// A salvaged block gets other counts in Before by it, without being encoded again.
func (h *Header) Put(block []byte) {
	le := binary.LittleEndian
	copy(block, blockMagic)
	block[4], block[5] = h.version, h.flags
	le.PutUint16(block[6:], uint16(h.size))
	copy(block[8:8+runLength], h.Run)
	le.PutUint64(block[16:], uint64(h.First))
	le.PutUint64(block[24:], uint64(h.Last))
	le.PutUint64(block[32:], h.Seq)
	le.PutUint32(block[40:], uint32(h.Count.Batches))
	le.PutUint32(block[44:], uint32(h.Count.Readings))
	le.PutUint64(block[48:], h.Before.Batches)
	le.PutUint64(block[56:], h.Before.Readings)
	le.PutUint64(block[64:], uint64(h.Wall))
	le.PutUint64(block[72:], uint64(h.Uptime))
	le.PutUint64(block[80:], uint64(h.Mono))
	le.PutUint32(block[88:], uint32(h.raw))
	le.PutUint32(block[92:], uint32(h.payload))
	le.PutUint64(block[96:], uint64(h.Oldest))
	le.PutUint64(block[104:], uint64(h.Newest))
	h.checksum = checksum(block)
	le.PutUint32(block[112:], h.checksum)
}

// checksum returns the CRC-32C of a block but for the four bytes that hold it.
// It covers the payload, too: a header alone proves nothing.
func checksum(block []byte) uint32 {
	return crc32.Update(crc32.Checksum(block[:112], polynomial), polynomial, block[fixedSize:])
}

// ParseHeader reads the header at the begin of b, which need not be a whole block.
// It refuses numbers that make no sense, but does not verify the checksum, for
// which the whole block is needed. Nothing in the header refers to b.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) < fixedSize || string(b[:4]) != blockMagic {
		return h, errors.New("it does not begin as a block")
	}
	if b[4] < 1 || b[4] > Version {
		return h, fmt.Errorf("its format is version %d, this program knows 1 to %d", b[4], Version)
	}
	le := binary.LittleEndian
	h = Header{
		version:  b[4],
		size:     int(le.Uint16(b[6:])),
		flags:    b[5],
		Run:      string(b[8 : 8+runLength]),
		First:    bridge.Position(le.Uint64(b[16:])),
		Last:     bridge.Position(le.Uint64(b[24:])),
		Seq:      le.Uint64(b[32:]),
		Count:    bridge.Count{Batches: uint64(le.Uint32(b[40:])), Readings: uint64(le.Uint32(b[44:]))},
		Before:   bridge.Count{Batches: le.Uint64(b[48:]), Readings: le.Uint64(b[56:])},
		Wall:     int64(le.Uint64(b[64:])),
		Uptime:   int64(le.Uint64(b[72:])),
		Mono:     int64(le.Uint64(b[80:])),
		raw:      int(le.Uint32(b[88:])),
		payload:  int(le.Uint32(b[92:])),
		Oldest:   int64(le.Uint64(b[96:])),
		Newest:   int64(le.Uint64(b[104:])),
		checksum: le.Uint32(b[112:]),
	}
	// The bounds are what keeps numbers from wrapping further on, and memory from being
	// taken for a length that nobody wrote. In version 1 nothing follows the fixed part.
	if h.size < fixedSize || h.size > MaxHeader || h.size > len(b) || h.version == 1 && h.size > fixedSize ||
		h.raw > maxPayload || h.payload > maxPayload ||
		h.Count.Batches == 0 || h.Count.Batches > maxBlockBatches || h.Count.Readings > maxBlockReadings ||
		h.Last < h.First || uint64(h.Last-h.First) > 1<<32 || uint64(h.Last-h.First)+1 < h.Count.Batches || h.First == 0 {
		return h, errHeader
	}
	return h, h.parseTail(b[fixedSize:h.size])
}

// Open verifies a whole block, no byte less and no byte more, and returns its header
// and its payload, which is a part of b.
func Open(b []byte) (h Header, payload []byte, err error) {
	if h, err = ParseHeader(b); err != nil {
		return h, nil, err
	}
	if len(b) != h.Length() {
		return h, nil, fmt.Errorf("it has %d bytes instead of %d", len(b), h.Length())
	}
	if checksum(b) != h.checksum {
		return h, nil, ErrChecksum
	}
	return h, h.Payload(b), nil
}
