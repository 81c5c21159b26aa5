package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/goburrow/modbus"
)

// Table is an address space of a unit.
type Table uint8

// The tables; those behind Holding are read by functions of their own (Modbus
// Application Protocol V1.1b3, sections 6.14, 6.18 and 6.21).
const (
	Coil Table = iota
	Discrete
	Input
	Holding
	Record   // registers of files, function 20; see [RecordAddress]
	FIFO     // a queue of registers, function 24, by its pointer's address
	Identity // an object of the identification, function 43/14, by its id
	tables   = iota
)

// Tables is how many tables there are.
const Tables = tables

var tableNames = [tables]string{"coil", "discrete", "input", "holding", "record", "fifo", "object"}

// String returns the word for t.
func (t Table) String() string { return tableNames[t] }

// Bits reports whether t holds single bits.
func (t Table) Bits() bool { return t <= Discrete }

// Single reports whether a request for t has one value only.
func (t Table) Single() bool { return t == FIFO || t == Identity }

// End is the address behind the last one of t.
func (t Table) End() int {
	switch t {
	case Record:
		return RecordAddress(1<<16, 0)
	case Identity:
		return 1 << 8
	}
	return 1 << 16
}

// Bounds of records, Modbus Application Protocol V1.1b3, section 6.14.
const (
	recordBits     = 14
	MaxRecord      = 9999
	MaxRecordWords = 121
	// ObjectBytes is how long the data of an object is: its text and zeros.
	ObjectBytes = 250
	// MaxFIFO is how many registers a queue has at most (section 6.18).
	MaxFIFO = 31
)

// RecordAddress is the address of a record in [Record]: files, 1 to 65535, lie
// behind each other, further apart than a request reaches.
func RecordAddress(file, record int) int { return file<<recordBits | record }

// Ask is what a request asks for.
type Ask struct {
	Table        Table
	First, Count int
	Bytes        int // of the answer's data, where registers are not of two bytes; else 0
}

// String says it for people: holding 10+2, file 4 10+2.
func (a Ask) String() string {
	table, first := a.Where()
	return fmt.Sprintf("%s %d+%d", table, first, a.Count)
}

// Where returns the table and the address as people name them: holding 10, or the
// record 10 of file 4.
func (a Ask) Where() (table string, address int) {
	if a.Table == Record {
		return fmt.Sprintf("file %d", a.First>>recordBits), a.First & (1<<recordBits - 1)
	}
	return a.Table.String(), a.First
}

// Read reads count registers or bits of a table: registers as two bytes each,
// bits packed from the least significant on.
func (c *Client) Read(t Table, address, count uint16) ([]byte, error) {
	return c.Ask(Ask{Table: t, First: int(address), Count: int(count)})
}

// Ask reads what a asks for: registers as two bytes each, or as the unit has them,
// bits packed from the least significant on, an object as its text and zeros.
func (c *Client) Ask(a Ask) (data []byte, err error) { return c.ask(a, nil) }

// ask is Ask of a unit whose holding registers are read with an exchange; nil is
// without.
func (c *Client) ask(a Ask, x *Exchange) (data []byte, err error) {
	address, count := uint16(a.First), uint16(a.Count)
	c.h.wait.bytes = a.Bytes
	switch a.Table {
	case Coil:
		data, err = c.ReadCoils(address, count)
	case Discrete:
		data, err = c.ReadDiscreteInputs(address, count)
	case Input:
		data, err = c.ReadInputRegisters(address, count)
	case Record:
		data, err = c.record(a)
	case FIFO:
		data, err = c.fifo(address, a.Count)
	case Identity:
		data, err = c.object(byte(address))
	default:
		if x != nil {
			data, err = c.ReadWriteMultipleRegisters(address, count, x.First, uint16(len(x.Words)/2), x.Words)
			break
		}
		data, err = c.ReadHoldingRegisters(address, count)
	}
	c.h.wait.bytes = 0
	if err != nil {
		err = Plain(err)
	}
	return data, err
}

// record reads registers of a file by function 20.
func (c *Client) record(a Ask) ([]byte, error) {
	pdu := []byte{20, 7, 6}
	for _, n := range []int{a.First >> recordBits, a.First & (1<<recordBits - 1), a.Count} {
		pdu = binary.BigEndian.AppendUint16(pdu, uint16(n))
	}
	got, err := c.told(pdu)
	if err != nil {
		return nil, err
	}
	n := 2 * a.Count
	if len(got) != 4+n || int(got[1]) != n+2 || int(got[2]) != n+1 || got[3] != 6 {
		return nil, protocolErrorf("answer of %d bytes to function 20: %d were asked", len(got)-4, n)
	}
	return got[4:], nil
}

// told is Raw, with an exception as an error.
func (c *Client) told(pdu []byte) ([]byte, error) {
	got, err := c.Raw(pdu)
	if err == nil {
		err = Exception(got)
	}
	return got, err
}

// fifo returns the last registers of a queue, which is not emptied.
func (c *Client) fifo(address uint16, count int) ([]byte, error) {
	got, err := c.told(binary.BigEndian.AppendUint16([]byte{24}, address))
	if err != nil {
		return nil, err
	}
	const head = 5 // function, byte count, count
	if len(got) < head {
		return nil, protocolErrorf("answer of %d bytes to function 24", len(got))
	}
	has := int(binary.BigEndian.Uint16(got[3:]))
	if has > MaxFIFO || len(got) != head+2*has || int(binary.BigEndian.Uint16(got[1:])) != 2+2*has {
		return nil, protocolErrorf("answer of %d bytes to function 24, for %d registers", len(got), has)
	}
	if has < count {
		return nil, &EmptyError{has, count}
	}
	return got[len(got)-2*count:], nil
}

// object returns the text of one object and zeros. Units are asked for the stream
// that has it, from it on, which more of them know than the request for one alone.
func (c *Client) object(id byte) ([]byte, error) {
	code := byte(extendedObjects)
	switch {
	case int(id) < basicCount:
		code = basicObjects
	case id < 0x80:
		code = regularObjects
	}
	text, err := c.objectBy(code, id)
	if _, refused := ExceptionCode(err); refused {
		text, err = c.objectBy(oneObject, id)
	}
	if err != nil {
		return nil, err
	}
	return append([]byte(text), make([]byte, ObjectBytes-len(text))...), nil
}

// objectBy asks for an object by a code. Not to have it is the exception of an
// address that is not there.
func (c *Client) objectBy(code, id byte) (string, error) {
	for next, before := int(id), -1; next > before; {
		got, err := c.told([]byte{43, 14, code, byte(next)})
		if err != nil {
			return "", err
		}
		some, more, err := parseObjects(got)
		if err != nil {
			return "", err
		}
		if i := slices.IndexFunc(some, func(o Object) bool { return o.ID == id }); i >= 0 {
			return some[i].Text, nil
		}
		before, next = next, more
	}
	return "", &modbus.ModbusError{FunctionCode: 43 | 0x80, ExceptionCode: illegalAddress}
}
