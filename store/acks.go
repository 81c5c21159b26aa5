package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
)

// ackRecord is what is known to be done: the cursor and what lies beyond it.
type ackRecord struct {
	number uint64          // grows with each record
	next   bridge.Position // the position of the next batch
	uptime int64           // run time of the folder, ms
	done   spans
	counts map[bridge.Position]bridge.Count // by segment: what of it is done
}

// ackFile holds the two newest records, each in its own half of the file, so
// that a cut while one is written leaves the other. It is of its own so that a
// damaged segment takes no acknowledgements with it, and a record costs one sync.
type ackFile struct {
	path   string
	f      *os.File
	number uint64 // of the last record
	buf    []byte
}

// A record is ackMagic, CRC-32C of the rest, its length, the rest in varints.
const (
	ackMagic  = "FBA1"
	ackHeader = 12
	ackHalf   = 2 << 20 // where the second half begins; the file is sparse
)

var ackPolynomial = crc32.MakeTable(crc32.Castagnoli)

// openAcks opens the file, which it makes if there is none, and returns what
// [newestAcks] says of it.
func openAcks(path string) (a *ackFile, r ackRecord, broken error) {
	a = &ackFile{path: path}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		// Perhaps it can be read at least, on a file system that is read-only.
		if f, err = os.Open(path); err != nil {
			return a, r, err
		}
		defer f.Close()
	} else {
		a.f = f
	}
	r, broken = newestAcks(f)
	a.number = r.number
	return a, r, broken
}

// newestAcks returns the newest record of a file that is whole, or none. broken
// says what is wrong when neither is and the file has content.
func newestAcks(f *os.File) (r ackRecord, broken error) {
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	found := false
	for half := range int64(2) {
		got, err := readAcks(io.NewSectionReader(f, half*ackHalf, ackHalf))
		if err != nil {
			broken = err
			continue
		}
		if !found || got.number > r.number {
			r, found = got, true
		}
	}
	if found || info.Size() == 0 {
		return r, nil
	}
	return r, broken
}

func readAcks(f io.Reader) (r ackRecord, err error) {
	var head [ackHeader]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return r, err
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if string(head[:4]) != ackMagic || n > ackHalf-ackHeader {
		return r, fmt.Errorf("it is no record of acknowledgements")
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(f, data); err != nil {
		return r, err
	}
	if crc32.Checksum(data, ackPolynomial) != binary.LittleEndian.Uint32(head[4:]) {
		return r, block.ErrChecksum
	}
	return parseAcks(data)
}

func (r *ackRecord) append(b []byte) []byte {
	b = binary.AppendUvarint(b, r.number)
	b = binary.AppendUvarint(b, uint64(r.next))
	b = binary.AppendUvarint(b, uint64(r.uptime))
	b = binary.AppendUvarint(b, uint64(len(r.done)))
	var previous bridge.Position
	for _, s := range r.done {
		b = binary.AppendUvarint(b, uint64(s.from-previous))
		b = binary.AppendUvarint(b, uint64(s.to-s.from))
		previous = s.to
	}
	b = binary.AppendUvarint(b, uint64(len(r.counts)))
	for segment, c := range r.counts {
		b = binary.AppendUvarint(b, uint64(segment))
		b = binary.AppendUvarint(b, c.Batches)
		b = binary.AppendUvarint(b, c.Readings)
	}
	return b
}

func parseAcks(data []byte) (r ackRecord, err error) {
	in := block.NewReader(data)
	r.number = in.Uint()
	r.next = bridge.Position(in.Uint())
	r.uptime = int64(in.Uint())
	r.done = make(spans, in.Length())
	var previous bridge.Position
	for i := range r.done {
		from := previous + bridge.Position(in.Uint())
		to := from + bridge.Position(in.Uint())
		if from < previous || to <= from || i > 0 && from == previous {
			in.Fail()
			break
		}
		r.done[i] = span{from, to}
		previous = to
	}
	n := in.Length()
	r.counts = make(map[bridge.Position]bridge.Count, n)
	for range n {
		p := bridge.Position(in.Uint())
		r.counts[p] = bridge.Count{Batches: in.Uint(), Readings: in.Uint()}
	}
	if !in.Done() {
		return ackRecord{}, fmt.Errorf("the record of acknowledgements makes no sense")
	}
	return r, nil
}

// write makes r durable. It returns the bytes written.
func (a *ackFile) write(r *ackRecord) (int, error) {
	if a.f == nil {
		f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return 0, fmt.Errorf("record acknowledgements: %w", err)
		}
		a.f = f
	}
	r.number = a.number + 1
	b := append(a.buf[:0], ackMagic...)
	b = append(b, make([]byte, ackHeader-len(ackMagic))...)
	b = r.append(b)
	a.buf = b
	if len(b) > ackHalf {
		return 0, fmt.Errorf("record acknowledgements: %d bytes are too many", len(b))
	}
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[ackHeader:], ackPolynomial))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-ackHeader))
	_, err := a.f.WriteAt(b, int64(r.number%2)*ackHalf)
	if err == nil {
		err = disk.Datasync(a.f)
	}
	if err != nil {
		// After a failed sync nothing is known of the file's pages: begin anew.
		a.f.Close()
		a.f = nil
		return 0, fmt.Errorf("record acknowledgements: %w", err)
	}
	a.number = r.number
	return len(b), nil
}

func (a *ackFile) close() error {
	if a.f == nil {
		return nil
	}
	return a.f.Close()
}
