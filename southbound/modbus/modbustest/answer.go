package modbustest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// Exceptions that an honest unit answers with.
const (
	illegalFunction = 1
	illegalAddress  = 2
	illegalValue    = 3
)

// answer does what a request PDU asks and returns the answer's PDU, appended to
// buf, and what was asked. It takes mu.
func (u *Unit) answer(unit byte, pdu, buf []byte) ([]byte, Request, []Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := parse(unit, pdu)
	u.rememberLocked(r)
	behaviours := u.always
	if len(u.script) > 0 {
		if u.script[0] != nil {
			behaviours = append(behaviours[:len(behaviours):len(behaviours)], u.script[0])
		}
		u.script = u.script[1:]
	}
	out, exception := u.perform(r, pdu, buf)
	if exception != 0 {
		out = append(buf, pdu[0]|0x80, exception)
	}
	return out, r, behaviours
}

func parse(unit byte, pdu []byte) Request {
	r := Request{Unit: unit, Function: pdu[0]}
	if len(pdu) >= 3 && pdu[0] == 24 {
		r.Address = int(binary.BigEndian.Uint16(pdu[1:]))
	} else if len(pdu) >= 5 && pdu[0] != 43 {
		r.Address = int(binary.BigEndian.Uint16(pdu[1:]))
		switch pdu[0] {
		case 5, 6, 22:
			r.Count = 1
		default:
			r.Count = int(binary.BigEndian.Uint16(pdu[3:]))
		}
	}
	return r
}

func (u *Unit) perform(r Request, pdu, buf []byte) ([]byte, byte) {
	switch r.Function {
	case 1, 2:
		return u.readBits(Table(r.Function-1), r, buf)
	case 3:
		if u.sized != nil {
			return u.readSized(r, buf)
		}
		return u.readWords(Holding, r, buf)
	case 4:
		if u.sized != nil {
			return u.readSized(r, buf)
		}
		return u.readWords(Input, r, buf)
	case 20:
		return u.readFile(pdu, buf)
	case 23:
		return u.exchange(r, pdu, buf)
	case 24:
		return u.readFIFO(r, buf)
	case 5, 6, 15, 16, 22:
		return u.write(r, pdu, buf)
	case 43:
		return u.identification(pdu, buf)
	}
	return nil, illegalFunction
}

func (u *Unit) readBits(t Table, r Request, buf []byte) ([]byte, byte) {
	if r.Count < 1 || r.Count > 2000 {
		return nil, illegalValue
	}
	if !u.legal(t, r.Address, r.Count) {
		return nil, illegalAddress
	}
	n := (r.Count + 7) / 8
	out := append(buf, r.Function, byte(n))
	data := append(out, make([]byte, n)...)
	for i, v := range u.table(t)[r.Address : r.Address+r.Count] {
		if v != 0 {
			data[len(out)+i/8] |= 1 << (i % 8)
		}
	}
	return data, 0
}

func (u *Unit) readWords(t Table, r Request, buf []byte) ([]byte, byte) {
	if r.Count < 1 || r.Count > 125 {
		return nil, illegalValue
	}
	if !u.legal(t, r.Address, r.Count) {
		return nil, illegalAddress
	}
	out := append(buf, r.Function, byte(2*r.Count))
	for _, v := range u.table(t)[r.Address : r.Address+r.Count] {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out, 0
}

// readSized reads registers of sizes of their own, in a row.
func (u *Unit) readSized(r Request, buf []byte) ([]byte, byte) {
	out := append(buf, r.Function, 0)
	for a := r.Address; a < r.Address+r.Count; a++ {
		data, ok := u.sized[a]
		if !ok {
			return nil, illegalAddress
		}
		out = append(out, data...)
	}
	out[len(buf)+1] = byte(len(out) - len(buf) - 2)
	return out, 0
}

// readFile answers function 20, for one group of records.
func (u *Unit) readFile(pdu, buf []byte) ([]byte, byte) {
	if len(pdu) != 9 || pdu[1] != 7 || pdu[2] != 6 {
		return nil, illegalValue
	}
	file, first, n := int(binary.BigEndian.Uint16(pdu[3:])), int(binary.BigEndian.Uint16(pdu[5:])),
		int(binary.BigEndian.Uint16(pdu[7:]))
	if first+n > len(u.files[file]) || n < 1 {
		return nil, illegalAddress
	}
	out := append(buf, 20, byte(2+2*n), byte(1+2*n), 6)
	for _, v := range u.files[file][first : first+n] {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out, 0
}

// exchange answers function 23: it writes, and then reads.
func (u *Unit) exchange(r Request, pdu, buf []byte) ([]byte, byte) {
	if len(pdu) < 10 || len(pdu) != 10+2*int(binary.BigEndian.Uint16(pdu[7:])) {
		return nil, illegalValue
	}
	first, n := int(binary.BigEndian.Uint16(pdu[5:])), int(binary.BigEndian.Uint16(pdu[7:]))
	if n < 1 || n > 121 {
		return nil, illegalValue
	}
	if !u.legal(Holding, first, n) {
		return nil, illegalAddress
	}
	for i := range n {
		u.table(Holding)[first+i] = binary.BigEndian.Uint16(pdu[10+2*i:])
	}
	return u.readWords(Holding, r, buf)
}

// readFIFO answers function 24.
func (u *Unit) readFIFO(r Request, buf []byte) ([]byte, byte) {
	queue, ok := u.queues[r.Address]
	if !ok {
		return nil, illegalAddress
	}
	out := binary.BigEndian.AppendUint16(append(buf, 24), uint16(2+2*len(queue)))
	out = binary.BigEndian.AppendUint16(out, uint16(len(queue)))
	for _, v := range queue {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out, 0
}

func (u *Unit) write(r Request, pdu, buf []byte) ([]byte, byte) {
	t := Holding
	if r.Function == 5 || r.Function == 15 {
		t = Coil
	}
	if r.Count < 1 || len(pdu) < 5 {
		return nil, illegalValue
	}
	if _, sized := u.sized[r.Address]; sized && r.Function == 16 {
		return u.writeSized(r, pdu, buf)
	}
	if !u.legal(t, r.Address, r.Count) {
		return nil, illegalAddress
	}
	words := u.table(t)[r.Address:]
	value := binary.BigEndian.Uint16(pdu[3:])
	switch r.Function {
	case 5:
		words[0] = value & 1
		if value == 0xff00 {
			words[0] = 1
		}
	case 6:
		words[0] = value
	case 22:
		if len(pdu) != 7 {
			return nil, illegalValue
		}
		or := binary.BigEndian.Uint16(pdu[5:])
		words[0] = words[0]&value | or&^value
		return append(buf, pdu...), 0
	case 15:
		if len(pdu) != 6+(r.Count+7)/8 {
			return nil, illegalValue
		}
		for i := range r.Count {
			words[i] = uint16(pdu[6+i/8]>>(i%8)) & 1
		}
	case 16:
		if len(pdu) != 6+2*r.Count {
			return nil, illegalValue
		}
		for i := range r.Count {
			words[i] = binary.BigEndian.Uint16(pdu[6+2*i:])
		}
	}
	return append(buf, pdu[:5]...), 0
}

// writeSized writes registers of sizes of their own, in a row.
func (u *Unit) writeSized(r Request, pdu, buf []byte) ([]byte, byte) {
	data := pdu[min(6, len(pdu)):]
	for a := r.Address; a < r.Address+r.Count; a++ {
		size := len(u.sized[a])
		if size == 0 || size > len(data) {
			return nil, illegalValue
		}
		u.sized[a], data = bytes.Clone(data[:size]), data[size:]
	}
	if len(data) > 0 {
		return nil, illegalValue
	}
	return append(buf, pdu[:5]...), 0
}

// identification answers function 43/14, read device identification, with three
// objects an answer.
func (u *Unit) identification(pdu, buf []byte) ([]byte, byte) {
	const most = 3
	if len(pdu) != 4 || pdu[1] != 14 || u.id == nil {
		return nil, illegalFunction
	}
	last := byte(0xff) // of the category that is asked for
	if pdu[2] == 1 {
		last = 2
	}
	var ids []byte
	for _, id := range slices.Sorted(maps.Keys(u.id)) {
		if id >= pdu[3] && id <= last {
			ids = append(ids, id)
		}
	}
	conformity := byte(1)
	if len(u.id) > 3 {
		conformity = 3
	}
	out := append(buf, 43, 14, pdu[2], conformity, 0, 0, byte(min(most, len(ids))))
	if len(ids) > most {
		out[len(buf)+4], out[len(buf)+5] = 0xff, ids[most]
		ids = ids[:most]
	}
	for _, id := range ids {
		out = append(append(out, id, byte(len(u.id[id]))), u.id[id]...)
	}
	return out, 0
}
