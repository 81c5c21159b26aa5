package packed

import "math"

// MessagePack returns the JSON of one value: keys as text, also where they are
// numbers, a timestamp as seconds since 1970, other extensions as their bytes.
func MessagePack(b []byte) ([]byte, error) {
	m := msgpack{input: input{b}}
	m.out = make([]byte, 0, 2*len(b)+16)
	if err := m.value(0, false); err != nil {
		return nil, err
	}
	if len(m.rest) > 0 {
		return nil, errMore
	}
	return m.out, nil
}

type msgpack struct {
	input
	text
}

// value writes the next value; key is that it is the key of a member, which is text
// or a number.
func (m *msgpack) value(depth int, key bool) error {
	if depth > maxDepth {
		return errDeep
	}
	b, err := m.take(1)
	if err != nil {
		return err
	}
	switch c := b[0]; {
	case c < 0x80, c >= 0xe0:
		m.whole(uint64(int64(int8(c))), true, key)
	case c < 0x90:
		return m.members(uint64(c&15), depth, true, key)
	case c < 0xa0:
		return m.members(uint64(c&15), depth, false, key)
	case c < 0xc0:
		return m.str(uint64(c & 31))
	case c >= 0xcc && c <= 0xd3:
		n := uint64(1) << (c & 3)
		v, err := m.number(n)
		if signed := c >= 0xd0; signed {
			shift := 64 - 8*n
			v = uint64(int64(v<<shift) >> shift)
			m.whole(v, true, key)
		} else {
			m.whole(v, false, key)
		}
		return err
	case c >= 0xd9:
		n, err := m.number([]uint64{1, 2, 4, 2, 4, 2, 4}[c-0xd9])
		switch {
		case err != nil:
			return err
		case c <= 0xdb:
			return m.str(n)
		}
		return m.members(n, depth, c >= 0xde, key)
	case key:
		return errForm
	default:
		return m.rare(c)
	}
	return nil
}

// whole writes a whole number, in quotes where it is a key.
func (m *msgpack) whole(n uint64, signed, key bool) {
	if key {
		m.raw(`"`)
	}
	if signed {
		m.int(int64(n))
	} else {
		m.uint(n)
	}
	if key {
		m.raw(`"`)
	}
}

func (m *msgpack) str(n uint64) error {
	b, err := m.take(n)
	m.string(b)
	return err
}

// members writes n elements of a list, or members of a map.
func (m *msgpack) members(n uint64, depth int, named, key bool) error {
	brackets := "[]"
	if named {
		brackets = "{}"
	}
	if key {
		return errForm
	}
	m.raw(brackets[:1])
	for i := range n {
		if i > 0 {
			m.raw(",")
		}
		if named {
			if err := m.value(depth+1, true); err != nil {
				return err
			}
			m.raw(":")
		}
		if err := m.value(depth+1, false); err != nil {
			return err
		}
	}
	m.raw(brackets[1:])
	return nil
}

// rare writes what is neither whole number, text, list nor map.
func (m *msgpack) rare(c byte) error {
	switch c {
	case 0xc0:
		m.raw("null")
	case 0xc2, 0xc3:
		m.bool(c == 0xc3)
	case 0xc4, 0xc5, 0xc6:
		n, err := m.number(1 << (c - 0xc4))
		if err != nil {
			return err
		}
		b, err := m.take(n)
		m.binary(b)
		return err
	case 0xca:
		n, err := m.number(4)
		m.float(float64(math.Float32frombits(uint32(n))), 32)
		return err
	case 0xcb:
		n, err := m.number(8)
		m.float(math.Float64frombits(n), 64)
		return err
	case 0xc7, 0xc8, 0xc9:
		n, err := m.number(1 << (c - 0xc7))
		if err != nil {
			return err
		}
		return m.extension(n)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return m.extension(1 << (c - 0xd4))
	default:
		return errForm // 0xc1 is never used
	}
	return nil
}

// timestamp is the type of the one extension that all know.
const timestamp = 0xff

// extension writes n bytes of an extension, behind its type.
func (m *msgpack) extension(n uint64) error {
	typ, err := m.number(1)
	if err != nil {
		return err
	}
	b, err := m.take(n)
	if err != nil {
		return err
	}
	if typ != timestamp || n != 4 && n != 8 && n != 12 {
		m.binary(b)
		return nil
	}
	in := input{b}
	var fraction uint64
	seconds, _ := in.number(min(n, 8))
	switch n {
	case 8:
		fraction, seconds = seconds>>34, seconds&(1<<34-1)
	case 12:
		fraction = seconds >> 32
		low, _ := in.number(4)
		seconds = seconds<<32 | low
	}
	if fraction >= 1e9 {
		return errForm
	}
	m.int(int64(seconds))
	if fraction > 0 && int64(seconds) >= 0 {
		m.raw(".")
		for place := uint64(1e8); place > 0; place /= 10 {
			m.uint(fraction / place % 10)
		}
	}
	return nil
}
