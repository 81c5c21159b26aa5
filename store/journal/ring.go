package journal

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"unsafe"
)

const (
	headerSize = 4096
	recordHead = 8
	skipMark   = 0xffffffff
	tailAt     = 64
	baseAt     = 72
	runAt      = 80
	runLength  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ring is the mapped file as records. It knows no system call.
type ring struct {
	header []byte
	data   []byte
	head   uint64 // place of the next record
	tail   uint64 // place of the first that is needed; as in the header

	sum [12]byte // what checksum puts together; here, so that it is not allocated
}

func align(n int) int { return (n + 7) &^ 7 }

// headerSum is the checksum of what the header says for ever.
func headerSum(header []byte) uint32 { return crc32.Checksum(header[:48], castagnoli) }

// checksum is the record's checksum, which lies over its place as well.
func (r *ring) checksum(place uint64, length uint32, body []byte) uint32 {
	binary.LittleEndian.PutUint64(r.sum[:], place)
	binary.LittleEndian.PutUint32(r.sum[8:], length)
	return crc32.Update(crc32.Update(0, castagnoli, r.sum[:]), castagnoli, body)
}

// at returns the bytes from a place to the ring's end.
func (r *ring) at(place uint64) []byte { return r.data[place%uint64(len(r.data)):] }

// append adds a record and returns its place; false if there is no room.
func (r *ring) append(body []byte) (place uint64, ok bool) {
	need := recordHead + align(len(body))
	skip := 0
	if rest := len(r.at(r.head)); rest < need {
		skip = rest
	}
	if r.head+uint64(skip+need)-r.tail > uint64(len(r.data)) {
		return 0, false
	}
	if skip > 0 {
		r.put(r.head, skipMark, nil)
		r.head += uint64(skip)
	}
	place = r.head
	r.put(place, uint32(len(body)), body)
	r.head += uint64(need)
	return place, true
}

// put writes a record at a place; the ring's end is a multiple of 8 away, so its
// head always fits.
func (r *ring) put(place uint64, length uint32, body []byte) {
	b := r.at(place)
	sum := (*uint32)(unsafe.Pointer(&b[0]))
	atomic.StoreUint32(sum, 0)
	binary.LittleEndian.PutUint32(b[4:], length)
	copy(b[recordHead:], body)
	atomic.StoreUint32(sum, littleEndian(r.checksum(place, length, body)))
}

// littleEndian returns the number whose bytes in memory are v's, lowest first.
func littleEndian(v uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	return binary.NativeEndian.Uint32(b[:])
}

// release lets go of all before place.
func (r *ring) release(place uint64) {
	if place <= r.tail {
		return
	}
	r.tail = min(place, r.head)
	r.store(tailAt, r.tail)
}

// renew lets go of all and goes on a lap further on. Whole records may lie behind one
// that was torn: there they are of an earlier place, and never taken for what follows.
func (r *ring) renew() {
	r.head += uint64(len(r.data))
	r.release(r.head)
}

// store writes a number of the header in one step: a kill leaves the old one or
// the new.
func (r *ring) store(at int, v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&r.header[at])), binary.NativeEndian.Uint64(b[:]))
}

// base returns the position below which everything is done or on disk.
func (r *ring) base() uint64 { return binary.LittleEndian.Uint64(r.header[baseAt:]) }

// run returns the id of the run whose batches are in the ring, "" for none.
func (r *ring) run() string {
	id := r.header[runAt : runAt+runLength]
	if id[0] == 0 {
		return ""
	}
	return string(id)
}

// sound reports whether a record can begin at the tail.
func (r *ring) sound() bool {
	tail := binary.LittleEndian.Uint64(r.header[tailAt:])
	return tail%8 == 0 && tail <= 1<<62
}

// scan calls yield with the records from the tail on, and sets head behind the
// last whole one. The bodies are the ring's own memory. It reports whether what
// follows is a torn record rather than nothing.
func (r *ring) scan(yield func(place uint64, body []byte)) (torn bool) {
	r.tail = binary.LittleEndian.Uint64(r.header[tailAt:])
	place := r.tail
	for place-r.tail < uint64(len(r.data)) {
		b := r.at(place)
		length := binary.LittleEndian.Uint32(b[4:])
		sum := binary.LittleEndian.Uint32(b)
		if length == skipMark {
			if sum != r.checksum(place, length, nil) {
				break
			}
			place += uint64(len(b))
			continue
		}
		if uint64(length) > uint64(len(b)-recordHead) ||
			place+uint64(recordHead+align(int(length)))-r.tail > uint64(len(r.data)) {
			break
		}
		body := b[recordHead : recordHead+int(length)]
		if sum != r.checksum(place, length, body) {
			torn = sum == 0 && length != 0
			break
		}
		yield(place, body)
		place += uint64(recordHead + align(int(length)))
	}
	r.head = place
	return torn
}
