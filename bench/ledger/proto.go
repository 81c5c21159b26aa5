package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
)

// sheet is a device and its points, in order, each with the list its values stand in.
type sheet struct {
	device string
	names  []string
	lists  string
	places []byte // by how many decimal places numbers of uints and ints are to be divided
}

// protoRow is the values of one batch by list, u, i, d, or those of a block of batches.
type protoRow struct {
	number  uint64 // of the sheet
	sheet   sheet
	points  []int // empty is the first of the sheet
	values  map[byte][]float64
	batches int // of a block: of each point there are so many values; 0 is a row
}

// isProto reports whether a payload begins as a message of Fieldbridge's format protobuf.
func isProto(p []byte) bool { return len(p) > 2 && p[0] == 8 && p[1] == 1 }

// sheets are those of a gateway's catalogues, by number.
type sheets map[uint64]sheet

// catalogue takes in what a message on the status topic tells of a device's points, and
// reports whether it told something.
func (all sheets) catalogue(p []byte) bool {
	var c struct {
		Sheets []struct {
			Sheet         uint64
			Device, Lists string
			Names         []string
			Places        []byte
		}
	}
	if json.Unmarshal(p, &c) != nil {
		return false
	}
	for _, s := range c.Sheets {
		all[s.Sheet] = sheet{s.Device, s.Names, s.Lists, s.Places}
	}
	return len(c.Sheets) > 0
}

// errAhead is of a message that comes before the catalogue which explains it.
var errAhead = errors.New("numbers that no catalogue has named yet")

// proto returns the rows, picks and blocks of a message of format protobuf (docs/schemas),
// with the names that its own sheets bring, or those of the catalogues. It returns errAhead
// if one is not known. Texts and bools are left out.
func proto(p []byte, known sheets) (rows []protoRow, err error) {
	own := make(sheets)
	fields(p, func(field int, n uint64, b []byte) {
		switch field {
		case 10:
			var s sheet
			var number uint64
			fields(b, func(field int, n uint64, b []byte) {
				switch field {
				case 1:
					number = n
				case 2:
					s.device = string(b)
				case 3:
					s.names = append(s.names, string(b))
				case 4:
					s.lists = string(b)
				case 5:
					s.places = b
				}
			})
			own[number] = s
		case 12, 13:
			rows = append(rows, protoRowOf(b))
		case 15:
			rows = append(rows, protoBlockOf(b))
		}
	})
	for i := range rows {
		r := &rows[i]
		s, ok := own[r.number]
		if !ok {
			s, ok = known[r.number]
		}
		if r.sheet = s; !ok || r.last() > len(s.names) {
			return nil, errAhead
		}
	}
	return rows, nil
}

// last is the highest number of a point that the row names.
func (r *protoRow) last() (most int) {
	for _, n := range r.points {
		most = max(most, n)
	}
	return most
}

// tell calls value with a device, a point and its number, for each value of a row or of all
// batches of a block, and row after each batch.
func (r *protoRow) tell(value func(device, point string, v float64), row func()) {
	s := r.sheet
	points := r.points
	if len(points) == 0 {
		for i := range s.names {
			points = append(points, i+1)
		}
	}
	batches := max(1, r.batches)
	columns := make([][]float64, len(points)) // none is one that is left out
	next := make(map[byte]int)
	for i, n := range points {
		if n < 1 || n > len(s.lists) {
			continue
		}
		list := s.lists[n-1]
		from := next[list]
		next[list] += batches
		if to := next[list]; to <= len(r.values[list]) {
			columns[i] = r.column(list, r.values[list][from:to])
		}
		if n <= len(s.places) && (list == 'u' || list == 'i') {
			for k := range columns[i] {
				columns[i][k] /= math.Pow10(int(s.places[n-1]))
			}
		}
	}
	for k := range batches {
		for i, column := range columns {
			if column != nil && !math.IsNaN(column[k]) {
				value(s.device, s.names[points[i]-1], column[k])
			}
		}
		row()
	}
}

// column returns the values of a point, of a row or a block, NaN where it is absent.
func (r *protoRow) column(list byte, raw []float64) []float64 {
	values := make([]float64, len(raw))
	last := uint32(0)
	for k, v := range raw {
		values[k] = v
		switch whole := list == 'u' || list == 'i'; {
		case r.batches > 0 && whole: // differences
			last += uint32(int64(v))
			values[k] = float64(last)
			if list == 'i' {
				values[k] = float64(int32(last))
			}
		case v == math.MaxUint32 && list == 'u', v == math.MinInt32 && list == 'i', v == -math.MaxFloat64 && list == 'd':
			values[k] = math.NaN()
		}
	}
	return values
}

// numbered returns the numbers of points, of which a 0 and a number stand for so many
// that follow on the one before.
func numbered(packed []uint64) (points []int) {
	for k := 0; k < len(packed); k++ {
		if packed[k] != 0 || len(points) == 0 || k+1 == len(packed) {
			points = append(points, int(packed[k]))
			continue
		}
		k++
		for n := points[len(points)-1]; packed[k] > 0 && len(points) < 1<<16; packed[k]-- {
			n++
			points = append(points, n)
		}
	}
	return points
}

// numbersOf returns the numbers of a packed list, or the one of a list that is not.
func numbersOf(n uint64, b []byte) (all []uint64) {
	if b == nil {
		return []uint64{n}
	}
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			break
		}
		all = append(all, n)
		b = b[size:]
	}
	return all
}

func unzigzag(n uint64) float64 { return float64(int32(n>>1) ^ -int32(n&1)) }

// doublesOf is numbersOf for doubles.
func doublesOf(n uint64, b []byte) (all []float64) {
	if b == nil {
		return []float64{math.Float64frombits(n)}
	}
	for ; len(b) >= 8; b = b[8:] {
		all = append(all, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return all
}

func (r *protoRow) add(list byte, of []uint64, decode func(uint64) float64) {
	for _, n := range of {
		r.values[list] = append(r.values[list], decode(n))
	}
}

func protoRowOf(b []byte) protoRow {
	r := protoRow{values: make(map[byte][]float64)}
	fields(b, func(field int, n uint64, b []byte) {
		switch field {
		case 3:
			r.number = n
		case 4:
			r.points = append(r.points, numbered(numbersOf(n, b))...)
		case 5:
			r.add('u', numbersOf(n, b), func(n uint64) float64 { return float64(uint32(n)) })
		case 6:
			r.add('i', numbersOf(n, b), unzigzag)
		case 8:
			r.values['d'] = append(r.values['d'], doublesOf(n, b)...)
		}
	})
	return r
}

func protoBlockOf(b []byte) protoRow {
	r := protoRow{values: make(map[byte][]float64)}
	fields(b, func(field int, n uint64, b []byte) {
		switch field {
		case 1:
			r.number = n
		case 2:
			r.batches += len(numbersOf(n, b))
		case 4:
			r.points = append(r.points, numbered(numbersOf(n, b))...)
		case 5:
			r.add('u', numbersOf(n, b), unzigzag)
		case 6:
			r.add('i', numbersOf(n, b), unzigzag)
		case 8:
			r.values['d'] = append(r.values['d'], doublesOf(n, b)...)
		}
	})
	return r
}

// fields calls f with each field of a protobuf message: its number and its bytes, or the
// number itself and nil. It ends at what it does not understand.
func fields(p []byte, f func(field int, n uint64, b []byte)) {
	for len(p) > 0 {
		key, size := binary.Uvarint(p)
		if size <= 0 {
			return
		}
		p = p[size:]
		switch key & 7 {
		case 0:
			n, size := binary.Uvarint(p)
			if size <= 0 {
				return
			}
			p = p[size:]
			f(int(key>>3), n, nil)
		case 1:
			if len(p) < 8 {
				return
			}
			f(int(key>>3), binary.LittleEndian.Uint64(p), nil)
			p = p[8:]
		case 2:
			n, size := binary.Uvarint(p)
			if size <= 0 || n > uint64(len(p)-size) {
				return
			}
			f(int(key>>3), 0, p[size:size+int(n):size+int(n)])
			p = p[size+int(n):]
		case 5:
			if len(p) < 4 {
				return
			}
			f(int(key>>3), uint64(binary.LittleEndian.Uint32(p)), nil)
			p = p[4:]
		default:
			return
		}
	}
}
