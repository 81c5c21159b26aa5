package proto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

var errShort = errors.New("the message ends too early")

// field is one field as it stands in a message.
type field struct {
	number int
	wire   byte
	value  uint64 // of a number
	body   []byte // of a text, a list or a message
}

// next takes the first field off b.
func next(b []byte) (f field, rest []byte, err error) {
	key, b, err := varint(b)
	if err != nil {
		return f, nil, err
	}
	if key>>3 == 0 || key>>3 > math.MaxInt32 {
		return f, nil, fmt.Errorf("a field with the number %d", key>>3)
	}
	f = field{number: int(key >> 3), wire: byte(key & 7)}
	switch f.wire {
	case wireVarint:
		f.value, b, err = varint(b)
	case wire64:
		if len(b) < 8 {
			return f, nil, errShort
		}
		f.value, b = binary.LittleEndian.Uint64(b), b[8:]
	case wire32:
		if len(b) < 4 {
			return f, nil, errShort
		}
		f.value, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	case wireBytes:
		var n uint64
		if n, b, err = varint(b); err == nil {
			if n > uint64(len(b)) {
				return f, nil, errShort
			}
			f.body, b = b[:n], b[n:]
		}
	default:
		return f, nil, fmt.Errorf("field %d has a wire type that is not known: %d", f.number, f.wire)
	}
	return f, b, err
}

func varint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

// each calls take for each field of a message.
func each(b []byte, take func(f field) error) error {
	for len(b) > 0 {
		var f field
		var err error
		if f, b, err = next(b); err != nil {
			return err
		}
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

// varints returns a packed list of numbers of 32 bits.
func varints(b []byte) (all []uint32, err error) {
	for len(b) > 0 {
		var v uint64
		if v, b, err = varint(b); err != nil {
			return nil, err
		}
		all = append(all, uint32(v))
	}
	return all, nil
}

// ReadSheet reads what [Sheet.Append] wrote.
func ReadSheet(b []byte) (*Sheet, error) {
	var number uint32
	var device string
	var names []string
	var lists, places []byte
	err := each(b, func(f field) error {
		switch f.number {
		case sheetNumber:
			number = uint32(f.value)
		case sheetDevice:
			device = string(f.body)
		case sheetNames:
			names = append(names, string(f.body))
		case sheetLists:
			lists = f.body
		case sheetPlaces:
			places = f.body
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("a sheet: %w", err)
	}
	if len(lists) != len(names) || len(places) > 0 && len(places) != len(names) || len(names) > math.MaxUint16 {
		return nil, fmt.Errorf("sheet %d has %d names, %d lists and %d places", number, len(names), len(lists), len(places))
	}
	points := make([]Point, len(names))
	for i := range points {
		points[i] = Point{Name: names[i], Kind: Kind(lists[i])}
		if len(places) > 0 {
			points[i].Places = places[i]
		}
	}
	s := NewSheet(number, device, points)
	if !s.Valid() {
		return nil, fmt.Errorf("sheet %d has lists %q and places %v, which are not known", number, lists, places)
	}
	return s, nil
}

// Valid reports whether the lists and places of all points are known.
func (s *Sheet) Valid() bool {
	return !slices.ContainsFunc(s.Points, func(p Point) bool {
		return !strings.ContainsRune(kinds+string(none), rune(p.Kind)) || p.Places > mostPlaces
	})
}

// Message is a message as it stands, before its numbers are looked up.
type Message struct {
	V        uint32
	Gateway  string
	Run      string
	At       int64 // epoch milliseconds, of the first batch
	Seq      uint64
	Book     uint32 // 0 if it uses no numbers of the book
	Backlog  bool
	Unsynced bool
	Labels   map[string]string

	sheets map[uint32]*Sheet // that it brings
	texts  []string
	rows   [][]byte // rows and picks
	bads   [][]byte
	blocks [][]byte
}

// Read reads a message.
func Read(b []byte) (*Message, error) {
	m := &Message{sheets: make(map[uint32]*Sheet)}
	if err := each(b, m.take); err != nil {
		return nil, err
	}
	if m.V != Version {
		return nil, fmt.Errorf("it is of version %d, known is %d", m.V, Version)
	}
	return m, nil
}

// exact returns a double that stands for a whole number of at most 2^53.
func exact(bits uint64) (float64, error) {
	f := math.Float64frombits(bits)
	if f != math.Trunc(f) || math.Abs(f) > maxExact {
		return 0, fmt.Errorf("%g is no time and no number of a batch", f)
	}
	return f, nil
}

func (m *Message) take(f field) error {
	switch f.number {
	case readingsV:
		m.V = uint32(f.value)
	case readingsGateway:
		m.Gateway = string(f.body)
	case readingsRun:
		m.Run = string(f.body)
	case readingsAt:
		at, err := exact(f.value)
		m.At = int64(at)
		return err
	case readingsSeq:
		seq, err := exact(f.value)
		m.Seq = uint64(max(seq, 0))
		return err
	case readingsBook:
		m.Book = uint32(f.value)
	case readingsBacklog:
		m.Backlog = f.value != 0
	case readingsUnsynced:
		m.Unsynced = f.value != 0
	case readingsLabels:
		return m.label(f.body)
	case readingsSheets:
		s, err := ReadSheet(f.body)
		if err != nil {
			return err
		}
		m.sheets[s.Number] = s
	case readingsTexts:
		m.texts = append(m.texts, string(f.body))
	case readingsRows, readingsPicks:
		m.rows = append(m.rows, f.body)
	case readingsBads:
		m.bads = append(m.bads, f.body)
	case readingsBlocks:
		m.blocks = append(m.blocks, f.body)
	}
	return nil
}

func (m *Message) label(b []byte) error {
	var pair [2]string
	err := each(b, func(f field) error {
		if f.number == 1 || f.number == 2 {
			pair[f.number-1] = string(f.body)
		}
		return nil
	})
	if m.Labels == nil {
		m.Labels = make(map[string]string)
	}
	m.Labels[pair[0]] = pair[1]
	return err
}
