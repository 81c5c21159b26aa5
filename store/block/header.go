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
	blockMagic   = "FBQB"
	blockVersion = 1
	// HeaderSize is the length of a header, in bytes.
	HeaderSize = 116

	flagZstd = 1 // the payload is one zstd frame

	runLength = 8 // bytes of a run id

	// What a block may hold; the encoder stays far below.
	maxBlockBatches  = 1 << 20
	maxBlockReadings = 1 << 20
	maxPayload       = 64 << 20
)

// Header is what is known of a block without decoding it.
type Header struct {
	flags    byte
	Run      string
	First    bridge.Position // of the first batch
	Last     bridge.Position // of the last batch
	Seq      uint64          // of the first batch; a block holds batches of one run
	Count    bridge.Count    // in the block
	Before   bridge.Count    // in all blocks before it in this folder
	Wall     int64           // when it was written, Unix ms
	Uptime   int64           // the run time of the folder then, ms
	Mono     int64           // the run time of the run then, ms
	raw      int             // length of the payload before compression
	payload  int             // length of the payload
	Oldest   int64           // acquisition of the batches, Unix ms
	Newest   int64
	checksum uint32
}

// polynomial is the polynomial of the checksums.
var polynomial = crc32.MakeTable(crc32.Castagnoli)

// ErrChecksum is what is wrong with a block whose checksum does not come out.
var ErrChecksum = errors.New("its checksum is wrong")

// Length returns the length of the whole block.
func (h *Header) Length() int { return HeaderSize + h.payload }

// Put writes h into the first headerSize bytes of block and the checksum of all
// of it.
func (h *Header) Put(block []byte) {
	le := binary.LittleEndian
	copy(block, blockMagic)
	block[4], block[5] = blockVersion, h.flags
	le.PutUint16(block[6:], HeaderSize)
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

func checksum(block []byte) uint32 {
	return crc32.Update(crc32.Checksum(block[:112], polynomial), polynomial, block[HeaderSize:])
}

// ParseHeader reads a header. It does not verify the checksum, for which the
// whole block is needed.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) < HeaderSize || string(b[:4]) != blockMagic {
		return h, errors.New("it is no block")
	}
	if b[4] != blockVersion {
		return h, fmt.Errorf("its format is version %d, this program knows %d", b[4], blockVersion)
	}
	le := binary.LittleEndian
	h = Header{
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
	if le.Uint16(b[6:]) != HeaderSize || h.raw > maxPayload || h.payload > maxPayload ||
		h.Count.Batches == 0 || h.Count.Batches > maxBlockBatches || h.Count.Readings > maxBlockReadings ||
		h.Last < h.First || uint64(h.Last-h.First) > 1<<32 || uint64(h.Last-h.First)+1 < h.Count.Batches || h.First == 0 {
		return h, errors.New("its header makes no sense")
	}
	return h, nil
}

// Open verifies a whole block and returns its header and payload.
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
	return h, b[HeaderSize:], nil
}
