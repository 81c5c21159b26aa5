package ledger

import (
	"encoding/binary"
	"math"
)

// sheet is a device and its points, in order, each with the list its values stand in.
type sheet struct {
	device string
	names  []string
	lists  string
	places []byte // by how many decimal places numbers of uints and ints are to be divided
}

// protoRow is the values of one batch by list: u, i, d.
type protoRow struct {
	sheet  uint64
	points []uint64 // empty is the first of the sheet
	values map[byte][]float64
}

// isProto reports whether a payload begins as a message of Fieldbridge's format protobuf.
func isProto(p []byte) bool { return len(p) > 2 && p[0] == 8 && p[1] == 1 }

// proto gives the rows and picks of a message of format protobuf (docs/schemas), with the
// names that its sheets bring: value is called with a device, a point and its number, row
// after each batch. Columns and what a catalogue alone names are not understood.
func proto(p []byte, value func(device, point string, v float64), row func()) {
	sheets := make(map[uint64]sheet)
	var rows []protoRow
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
			sheets[number] = s
		case 12, 13:
			rows = append(rows, protoRowOf(b))
		}
	})
	for _, r := range rows {
		s := sheets[r.sheet]
		next := make(map[byte]int)
		one := func(i int) {
			if i < 0 || i >= len(s.names) || i >= len(s.lists) {
				return
			}
			list := s.lists[i]
			k := next[list]
			next[list]++
			if k >= len(r.values[list]) {
				return
			}
			switch v := r.values[list][k]; v {
			case math.MaxUint32, math.MinInt32, -math.MaxFloat64: // absent
			default:
				if i < len(s.places) && (list == 'u' || list == 'i') {
					v /= math.Pow10(int(s.places[i]))
				}
				value(s.device, s.names[i], v)
			}
		}
		if len(r.points) == 0 {
			for i := range s.names {
				one(i)
			}
		}
		last := 0
		for k := 0; k < len(r.points); k++ {
			if r.points[k] == 0 && k+1 < len(r.points) { // so many that follow
				for range r.points[k+1] {
					last++
					one(last - 1)
				}
				k++
				continue
			}
			last = int(r.points[k])
			one(last - 1)
		}
		row()
	}
}

func protoRowOf(b []byte) protoRow {
	r := protoRow{values: make(map[byte][]float64)}
	number := func(list byte, decode func(uint64) float64, n uint64, b []byte) {
		if b == nil {
			r.values[list] = append(r.values[list], decode(n))
			return
		}
		for len(b) > 0 {
			n, size := binary.Uvarint(b)
			if size <= 0 {
				return
			}
			r.values[list] = append(r.values[list], decode(n))
			b = b[size:]
		}
	}
	fields(b, func(field int, n uint64, b []byte) {
		switch field {
		case 3:
			r.sheet = n
		case 4:
			if b == nil {
				r.points = append(r.points, n)
			}
			for len(b) > 0 {
				n, size := binary.Uvarint(b)
				if size <= 0 {
					return
				}
				r.points = append(r.points, n)
				b = b[size:]
			}
		case 5:
			number('u', func(n uint64) float64 { return float64(uint32(n)) }, n, b)
		case 6:
			number('i', func(n uint64) float64 { return float64(int32(n>>1) ^ -int32(n&1)) }, n, b)
		case 8:
			if b == nil {
				r.values['d'] = append(r.values['d'], math.Float64frombits(n))
			}
			for ; len(b) >= 8; b = b[8:] {
				r.values['d'] = append(r.values['d'], math.Float64frombits(binary.LittleEndian.Uint64(b)))
			}
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
