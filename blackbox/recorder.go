// Package blackbox is the flight recorder: of each bus, broker and uplink it keeps
// the last frames or packets in a ring of bounded size, and a copy of them from the
// moment when something went wrong.
//
// What a [Tape] takes is what may be shown: Modbus frames whole, of MQTT packets
// what [Packets] leaves: no payload, no user name, no password.
//
// It stands on the ground: it imports the standard library alone.
package blackbox

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// tapeSize is how much a tape keeps, in bytes.
	tapeSize = 32 << 10
	// mostBytes is what all tapes together keep, without the copies that faults
	// make, of which each tape has one. Late comers get less than tapeSize.
	mostBytes = 1 << 20
	leastSize = 4 << 10
	mostTapes = 128
	// mostFrame is how much of one write or read is kept, in bytes.
	mostFrame = 2 << 10
)

// Direction says which way a frame went.
type Direction byte

// The directions. A Note is no frame but a text: what became of the connection.
const (
	Sent     Direction = '>'
	Received Direction = '<'
	Note     Direction = '#'
)

// Frame is one write or read of a stream, or one packet.
type Frame struct {
	At        time.Time
	Direction Direction
	Conn      uint32 // of several connections on one tape, which; 0 where there is one
	Size      int    // bytes on the way, of which Data may be a part
	Data      []byte
}

// Recorder has the tapes of a gateway. A nil Recorder records nothing. It is safe
// for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	tapes map[string]*Tape // guarded by mu
	kept  int              // guarded by mu; bytes of the tapes
	short bool             // guarded by mu; memory is: tapes keep leastSize
}

// New returns a recorder without tapes.
func New() *Recorder { return &Recorder{tapes: make(map[string]*Tape)} }

// Tape returns the tape of that name ("bus plc", "uplink", "mqtt local"), made if
// there is none. at is where the stream goes, as the configuration writes it: it
// says how frames are meant. Beyond 128 tapes there is none, a nil one.
func (r *Recorder) Tape(name, at string) *Tape {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tapes[name]
	if t != nil && t.at == at {
		return t
	}
	if t != nil {
		r.kept -= t.size
	} else if len(r.tapes) >= mostTapes {
		return nil
	}
	t = &Tape{name: name, at: at, size: max(leastSize, min(tapeSize, (mostBytes-r.kept)/8))}
	t.most = t.size
	if r.short {
		t.most = leastSize
	}
	r.kept += t.size
	r.tapes[name] = t
	return t
}

// Shed lets each tape keep its newest frames alone, 4 KiB of them, until
// [Recorder.Regain]. The copies that faults made stay. It returns how many bytes that
// gives.
func (r *Recorder) Shed() (bytes int64) {
	for _, t := range r.shorten(true) {
		bytes += t.resize(leastSize)
	}
	return bytes
}

// Regain ends what [Recorder.Shed] began.
func (r *Recorder) Regain() {
	for _, t := range r.shorten(false) {
		t.resize(t.size)
	}
}

// shorten says whether tapes are short from now on, and returns them.
func (r *Recorder) shorten(short bool) []*Tape {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.short = short
	return slices.Collect(maps.Values(r.tapes))
}

// Freeze copies the tape of that name as it is, with why; the copy before is
// gone. It reports whether there is such a tape.
func (r *Recorder) Freeze(name, why string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	t := r.tapes[name]
	r.mu.Unlock()
	if t != nil {
		t.freeze(why)
	}
	return t != nil
}

// Recordings returns what all tapes have, sorted by name: of each the copy of its
// last fault, if there is one, then what it keeps now.
func (r *Recorder) Recordings() (all []Recording) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	tapes := slices.SortedFunc(maps.Values(r.tapes), func(a, b *Tape) int { return strings.Compare(a.name, b.name) })
	r.mu.Unlock()
	for _, t := range tapes {
		all = append(all, t.recordings()...)
	}
	return all
}

// Recording is what was on a tape at a time.
type Recording struct {
	Tape   string
	At     string // where the stream went
	Fault  string // why it was frozen; "" is that it is as of now
	Frozen time.Time
	Frames []Frame
}

// Tape is a ring of the last frames of a stream. A nil Tape records nothing. It is
// safe for concurrent use.
type Tape struct {
	name, at string
	size     int // bytes that it may keep

	mu     sync.Mutex
	most   int    // guarded by mu; bytes that it may keep now
	conns  uint32 // guarded by mu; so many were made
	ring   []byte // guarded by mu; grows to most
	oldest int    // guarded by mu; where in ring the oldest frame begins
	used   int    // guarded by mu; bytes of ring from there on
	fault  Recording
}

// head is what stands before each frame in the ring: when (8 bytes, Unix
// nanoseconds), connection (4), bytes on the way (4), bytes kept (2), direction.
const head = 8 + 4 + 4 + 2 + 1

// Add records a frame of a connection of which size bytes were on the way.
func (t *Tape) Add(d Direction, conn uint32, data []byte, size int) {
	if t == nil {
		return
	}
	data = data[:min(len(data), mostFrame)]
	var h [head]byte
	binary.LittleEndian.PutUint64(h[:], uint64(time.Now().UnixNano()))
	binary.LittleEndian.PutUint32(h[8:], conn)
	binary.LittleEndian.PutUint32(h[12:], uint32(size))
	binary.LittleEndian.PutUint16(h[16:], uint16(len(data)))
	h[18] = byte(d)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoomLocked(head + len(data))
	t.putLocked(h[:])
	t.putLocked(data)
}

// Conn counts a connection and records that it was made.
func (t *Tape) Conn(text string) (conn uint32) {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	t.conns++
	conn = t.conns
	t.mu.Unlock()
	t.Say(conn, text)
	return conn
}

// Say records a text.
func (t *Tape) Say(conn uint32, text string) { t.Add(Note, conn, []byte(text), len(text)) }

// makeRoomLocked lets the ring grow, or the oldest frames go, until n more bytes
// have room.
func (t *Tape) makeRoomLocked(n int) {
	for t.used+n > len(t.ring) {
		if len(t.ring) < t.most {
			t.moveLocked(min(t.most, max(2*len(t.ring), 1<<10)))
			continue
		}
		t.dropLocked()
	}
}

// moveLocked makes the ring size bytes large, which hold what is used.
func (t *Tape) moveLocked(size int) {
	ring := make([]byte, size)
	t.readLocked(ring[:t.used], 0)
	t.ring, t.oldest = ring, 0
}

// dropLocked lets the oldest frame go.
func (t *Tape) dropLocked() {
	var h [head]byte
	t.readLocked(h[:], 0)
	gone := head + int(binary.LittleEndian.Uint16(h[16:]))
	t.oldest, t.used = (t.oldest+gone)%len(t.ring), t.used-gone
}

// resize lets the tape keep most bytes, and returns how many that gives.
func (t *Tape) resize(most int) (bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.most = most; len(t.ring) <= most {
		return 0
	}
	for t.used > most {
		t.dropLocked()
	}
	bytes = int64(len(t.ring) - most)
	t.moveLocked(most)
	return bytes
}

// putLocked appends b, which has room.
func (t *Tape) putLocked(b []byte) {
	at := (t.oldest + t.used) % len(t.ring)
	n := copy(t.ring[at:], b)
	copy(t.ring, b[n:])
	t.used += len(b)
}

// readLocked reads into b what stands so far behind the oldest byte.
func (t *Tape) readLocked(b []byte, from int) {
	if len(b) == 0 {
		return
	}
	n := copy(b, t.ring[(t.oldest+from)%len(t.ring):])
	copy(b[n:], t.ring)
}

// framesLocked returns the frames, the oldest first.
func (t *Tape) framesLocked() (frames []Frame) {
	for at := 0; at < t.used; {
		var h [head]byte
		t.readLocked(h[:], at)
		f := Frame{At: time.Unix(0, int64(binary.LittleEndian.Uint64(h[:]))).UTC(), Direction: Direction(h[18]),
			Conn: binary.LittleEndian.Uint32(h[8:]), Size: int(binary.LittleEndian.Uint32(h[12:])),
			Data: make([]byte, binary.LittleEndian.Uint16(h[16:]))}
		t.readLocked(f.Data, at+head)
		frames = append(frames, f)
		at += head + len(f.Data)
	}
	return frames
}

func (t *Tape) freeze(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault = Recording{t.name, t.at, why, time.Now().UTC(), t.framesLocked()}
}

func (t *Tape) recordings() (all []Recording) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault.Fault != "" {
		all = append(all, t.fault)
	}
	return append(all, Recording{Tape: t.name, At: t.at, Frozen: time.Now().UTC(), Frames: t.framesLocked()})
}
