package books

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// Record is what is known to be done: the cursor and what lies beyond it.
type Record struct {
	Number uint64          // grows with each record
	Next   bridge.Position // the position of the next batch; 0 if there is no record
	Uptime int64           // run time of the folder, ms
	Done   Spans
	Counts map[bridge.Position]bridge.Count // by segment: what of it is done
}

// The bytes of a record are recordMagic, CRC-32C of the rest, its length, the rest
// in varints.
const (
	recordMagic = "FBA1"
	// RecordHead is the length of what stands before the rest, in bytes.
	RecordHead = 12
	// MostRecord is the most that a record takes, in bytes.
	MostRecord = 2 << 20
)

var polynomial = crc32.MakeTable(crc32.Castagnoli)

// Append appends the bytes of a record to b, which is empty.
func (r *Record) Append(b []byte) ([]byte, error) {
	b = append(b, recordMagic...)
	b = append(b, make([]byte, RecordHead-len(recordMagic))...)
	b = r.appendRest(b)
	if len(b) > MostRecord {
		return b, fmt.Errorf("record acknowledgements: %d bytes are too many", len(b))
	}
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[RecordHead:], polynomial))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-RecordHead))
	return b, nil
}

func (r *Record) appendRest(b []byte) []byte {
	b = binary.AppendUvarint(b, r.Number)
	b = binary.AppendUvarint(b, uint64(r.Next))
	b = binary.AppendUvarint(b, uint64(r.Uptime))
	b = binary.AppendUvarint(b, uint64(len(r.Done)))
	var previous bridge.Position
	for _, s := range r.Done {
		b = binary.AppendUvarint(b, uint64(s.From-previous))
		b = binary.AppendUvarint(b, uint64(s.To-s.From))
		previous = s.To
	}
	b = binary.AppendUvarint(b, uint64(len(r.Counts)))
	for _, segment := range slices.Sorted(maps.Keys(r.Counts)) {
		c := r.Counts[segment]
		b = binary.AppendUvarint(b, uint64(segment))
		b = binary.AppendUvarint(b, c.Batches)
		b = binary.AppendUvarint(b, c.Readings)
	}
	return b
}

var errRecord = errors.New("the record of acknowledgements makes no sense")

// RestOf returns how many bytes follow the head of a record.
func RestOf(head []byte) (int, error) {
	if len(head) < RecordHead || string(head[:4]) != recordMagic {
		return 0, errors.New("it does not begin as a record of acknowledgements")
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if n > MostRecord-RecordHead {
		return 0, errRecord
	}
	return int(n), nil
}

// ParseRecord returns the record whose head and rest are given.
func ParseRecord(head, rest []byte) (r Record, err error) {
	if n, err := RestOf(head); err != nil || n != len(rest) {
		return r, errors.Join(errRecord, err)
	}
	if crc32.Checksum(rest, polynomial) != binary.LittleEndian.Uint32(head[4:]) {
		return r, block.ErrChecksum
	}
	return parseRest(rest)
}

func parseRest(data []byte) (r Record, err error) {
	in := block.NewParser(data)
	r.Number = in.Uint()
	r.Next = bridge.Position(in.Uint())
	r.Uptime = int64(in.Uint())
	r.Done = make(Spans, in.Length())
	var previous bridge.Position
	for i := range r.Done {
		from := previous + bridge.Position(in.Uint())
		to := from + bridge.Position(in.Uint())
		if from < previous || to <= from || i > 0 && from == previous {
			in.Fail()
			break
		}
		r.Done[i] = Span{from, to}
		previous = to
	}
	n := in.Length()
	r.Counts = make(map[bridge.Position]bridge.Count, n)
	for range n {
		p := bridge.Position(in.Uint())
		r.Counts[p] = bridge.Count{Batches: in.Uint(), Readings: in.Uint()}
	}
	if !in.Done() {
		return Record{}, errRecord
	}
	return r, nil
}
