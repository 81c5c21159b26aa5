package modbustest

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
)

// Table is one of the four address spaces of a unit.
type Table uint8

// The tables.
const (
	Coil Table = iota
	Discrete
	Input
	Holding
)

// Unit is one simulated device. It is safe for concurrent use. Every address
// exists and reads 0 unless [Unit.Only] says otherwise.
type Unit struct {
	mu     sync.Mutex
	words  [4][]uint16      // guarded by mu; by table, 65,536 once used; bits are 0 or 1
	only   [4][]extent      // guarded by mu
	script []Behaviour      // guarded by mu; consumed one a request
	always []Behaviour      // guarded by mu
	seen   []Request        // guarded by mu; a ring of the last requests
	total  int              // guarded by mu
	blocks map[Request]int  // guarded by mu; how often each was asked for, At left out
	files  map[int][]uint16 // guarded by mu; by number
	queues map[int][]uint16 // guarded by mu; by address
	sized  map[int][]byte   // guarded by mu; registers of other sizes
	id     map[byte]string  // guarded by mu; objects of function 43/14
}

type extent struct{ first, count int }

const remembered = 4096 // requests a unit remembers

// Set writes registers (or bits, 0 is off) of a table from address on. What
// would lie beyond 65535 is left out.
func (u *Unit) Set(t Table, address int, values ...uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	copy(u.table(t)[address:], values)
}

// SetBit sets one coil or discrete input.
func (u *Unit) SetBit(t Table, address int, on bool) {
	var v uint16
	if on {
		v = 1
	}
	u.Set(t, address, v)
}

// Get returns count registers or bits of a table.
func (u *Unit) Get(t Table, address, count int) []uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.table(t)[address : address+count])
}

// Only makes the addresses outside the spans given so far for t illegal: a read
// or write that touches one is answered with exception 2.
func (u *Unit) Only(t Table, first, count int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.only[t] = append(u.only[t], extent{first, count})
}

// Identify sets what function 43/14 answers: the objects 0 (vendor), 1 (product
// code), 2 (revision) and so on.
func (u *Unit) Identify(objects ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.id = make(map[byte]string)
	for i, o := range objects {
		u.id[byte(i)] = o
	}
}

// IdentifyMore adds an object, as 0x80 and above of a maker's own.
func (u *Unit) IdentifyMore(object byte, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.id[object] = text
}

// SetFile sets what the records of a file are, from 0 on, for function 20.
func (u *Unit) SetFile(file int, values ...uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.files == nil {
		u.files = make(map[int][]uint16)
	}
	u.files[file] = values
}

// SetFIFO sets what a queue of registers has, the oldest first, for function 24.
func (u *Unit) SetFIFO(address int, values ...uint16) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.queues == nil {
		u.queues = make(map[int][]uint16)
	}
	u.queues[address] = values
}

// SetSized sets an input and holding register at address of as many bytes as data has,
// as some meters have them; the words of the tables are not looked at.
func (u *Unit) SetSized(address int, data ...byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sized == nil {
		u.sized = make(map[int][]byte)
	}
	u.sized[address] = data
}

// Next puts behaviours in line, one for each of the next requests. Nil is an
// honest answer.
func (u *Unit) Next(b ...Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.script = append(u.script, b...)
}

// Always sets the behaviours of every request from now on; none makes the unit
// honest again.
func (u *Unit) Always(b ...Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.always = b
}

// Request is what a unit was asked.
type Request struct {
	Unit     byte
	Function byte
	Address  int
	Count    int // registers or bits; 0 where the function has none
}

// Requests returns the last requests, the oldest first, at most 4,096.
func (u *Unit) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.total <= remembered {
		return slices.Clone(u.seen)
	}
	at := u.total % remembered
	return append(slices.Clone(u.seen[at:]), u.seen[:at]...)
}

// Count returns how many requests the unit saw.
func (u *Unit) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// CountOf returns how often exactly r was asked.
func (u *Unit) CountOf(r Request) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.blocks[r]
}

// Forget empties the record of requests.
func (u *Unit) Forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen, u.total = nil, 0
	clear(u.blocks)
}

func (u *Unit) rememberLocked(r Request) {
	if len(u.seen) < remembered {
		u.seen = append(u.seen, r)
	} else {
		u.seen[u.total%remembered] = r
	}
	u.total++
	if u.blocks == nil {
		u.blocks = make(map[Request]int)
	}
	u.blocks[r]++
}

func (u *Unit) table(t Table) []uint16 {
	if u.words[t] == nil {
		u.words[t] = make([]uint16, 1<<16)
	}
	return u.words[t]
}

// legal reports whether all of an address range exists.
func (u *Unit) legal(t Table, address, count int) bool {
	if address+count > 1<<16 {
		return false
	}
	if u.only[t] == nil {
		return true
	}
	for a := address; a < address+count; a++ {
		if !slices.ContainsFunc(u.only[t], func(s extent) bool { return a >= s.first && a < s.first+s.count }) {
			return false
		}
	}
	return true
}

// Float32 returns v as two registers in the order ABCD.
func Float32(v float32) []uint16 { return Uint32(math.Float32bits(v)) }

// Uint32 returns v as two registers in the order ABCD.
func Uint32(v uint32) []uint16 { return []uint16{uint16(v >> 16), uint16(v)} }

// Uint64 returns v as four registers in the order ABCDEFGH.
func Uint64(v uint64) []uint16 {
	return []uint16{uint16(v >> 48), uint16(v >> 32), uint16(v >> 16), uint16(v)}
}

// Text returns s as registers, padded with NUL.
func Text(s string) []uint16 {
	b := append([]byte(s), 0)
	words := make([]uint16, len(b)/2)
	for i := range words {
		words[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return words
}
