package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"fieldbridge/bridge"
)

// The layout of a block is described in format.md.
const (
	blockMagic   = "FBQB"
	blockVersion = 1
	headerSize   = 116

	flagZstd = 1 // the payload is one zstd frame

	runLength = 8 // bytes of a run id

	// What a block may hold; the encoder stays far below.
	maxBlockBatches  = 1 << 20
	maxBlockReadings = 1 << 20
	maxPayload       = 64 << 20
)

// header is what is known of a block without decoding it.
type header struct {
	flags    byte
	run      string
	first    bridge.Position // of the first batch
	last     bridge.Position // of the last batch
	seq      uint64          // of the first batch; a block holds batches of one run
	count    bridge.Count    // in the block
	before   bridge.Count    // in all blocks before it in this folder
	wall     int64           // when it was written, Unix ms
	uptime   int64           // the run time of the folder then, ms
	mono     int64           // the run time of the run then, ms
	raw      int             // length of the payload before compression
	payload  int             // length of the payload
	oldest   int64           // acquisition of the batches, Unix ms
	newest   int64
	checksum uint32
}

var errChecksum = errors.New("its checksum is wrong")

// length returns the length of the whole block.
func (h *header) length() int { return headerSize + h.payload }

// put writes h into the first headerSize bytes of block and the checksum of all
// of it.
func (h *header) put(block []byte) {
	le := binary.LittleEndian
	copy(block, blockMagic)
	block[4], block[5] = blockVersion, h.flags
	le.PutUint16(block[6:], headerSize)
	copy(block[8:8+runLength], h.run)
	le.PutUint64(block[16:], uint64(h.first))
	le.PutUint64(block[24:], uint64(h.last))
	le.PutUint64(block[32:], h.seq)
	le.PutUint32(block[40:], uint32(h.count.Batches))
	le.PutUint32(block[44:], uint32(h.count.Readings))
	le.PutUint64(block[48:], h.before.Batches)
	le.PutUint64(block[56:], h.before.Readings)
	le.PutUint64(block[64:], uint64(h.wall))
	le.PutUint64(block[72:], uint64(h.uptime))
	le.PutUint64(block[80:], uint64(h.mono))
	le.PutUint32(block[88:], uint32(h.raw))
	le.PutUint32(block[92:], uint32(h.payload))
	le.PutUint64(block[96:], uint64(h.oldest))
	le.PutUint64(block[104:], uint64(h.newest))
	h.checksum = checksum(block)
	le.PutUint32(block[112:], h.checksum)
}

func checksum(block []byte) uint32 {
	return crc32.Update(crc32.Checksum(block[:112], castagnoli), castagnoli, block[headerSize:])
}

// parseHeader reads a header. It does not verify the checksum, for which the
// whole block is needed.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || string(b[:4]) != blockMagic {
		return h, errors.New("it is no block")
	}
	if b[4] != blockVersion {
		return h, fmt.Errorf("its format is version %d, this program knows %d", b[4], blockVersion)
	}
	le := binary.LittleEndian
	h = header{
		flags:    b[5],
		run:      string(b[8 : 8+runLength]),
		first:    bridge.Position(le.Uint64(b[16:])),
		last:     bridge.Position(le.Uint64(b[24:])),
		seq:      le.Uint64(b[32:]),
		count:    bridge.Count{Batches: uint64(le.Uint32(b[40:])), Readings: uint64(le.Uint32(b[44:]))},
		before:   bridge.Count{Batches: le.Uint64(b[48:]), Readings: le.Uint64(b[56:])},
		wall:     int64(le.Uint64(b[64:])),
		uptime:   int64(le.Uint64(b[72:])),
		mono:     int64(le.Uint64(b[80:])),
		raw:      int(le.Uint32(b[88:])),
		payload:  int(le.Uint32(b[92:])),
		oldest:   int64(le.Uint64(b[96:])),
		newest:   int64(le.Uint64(b[104:])),
		checksum: le.Uint32(b[112:]),
	}
	if le.Uint16(b[6:]) != headerSize || h.raw > maxPayload || h.payload > maxPayload ||
		h.count.Batches == 0 || h.count.Batches > maxBlockBatches || h.count.Readings > maxBlockReadings ||
		h.last < h.first || uint64(h.last-h.first) > 1<<32 || uint64(h.last-h.first)+1 < h.count.Batches || h.first == 0 {
		return h, errors.New("its header makes no sense")
	}
	return h, nil
}

// openBlock verifies a whole block and returns its header and payload.
func openBlock(b []byte) (h header, payload []byte, err error) {
	if h, err = parseHeader(b); err != nil {
		return h, nil, err
	}
	if len(b) != h.length() {
		return h, nil, fmt.Errorf("it has %d bytes instead of %d", len(b), h.length())
	}
	if checksum(b) != h.checksum {
		return h, nil, errChecksum
	}
	return h, b[headerSize:], nil
}

// unixMilli returns ms as a time in UTC.
func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
