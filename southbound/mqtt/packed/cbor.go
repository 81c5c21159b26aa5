package packed

import (
	"math"
	"math/big"
)

// The major types of CBOR (RFC 8949, section 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const (
	indefinite = 31   // length that an end shows
	cborBreak  = 0xff // that end
)

// CBOR returns the JSON of one value: keys as text, also where they are numbers,
// times and other tagged values as what is tagged.
func CBOR(b []byte) ([]byte, error) {
	c := cbor{input: input{b}}
	c.out = make([]byte, 0, 2*len(b)+16)
	if err := c.value(0); err != nil {
		return nil, err
	}
	if len(c.rest) > 0 {
		return nil, errMore
	}
	return c.out, nil
}

type cbor struct {
	input
	text
}

// head reads the beginning of a value: its major type, its short argument and that
// in full.
func (c *cbor) head() (major, short byte, n uint64, err error) {
	b, err := c.take(1)
	if err != nil {
		return 0, 0, 0, err
	}
	major, short = b[0]>>5, b[0]&31
	switch {
	case short < 24:
		n = uint64(short)
	case short < 28:
		n, err = c.number(1 << (short - 24))
	case short != indefinite:
		err = errForm
	}
	return major, short, n, err
}

func (c *cbor) value(depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	major, short, n, err := c.head()
	if err != nil {
		return err
	}
	if short == indefinite && (major < cborBytes || major > cborMap) {
		return errForm
	}
	switch major {
	case cborUint:
		c.uint(n)
	case cborNegative:
		c.negative(n)
	case cborBytes, cborText:
		b, err := c.chunks(major, short, n)
		if major == cborText {
			c.string(b)
		} else {
			c.binary(b)
		}
		return err
	case cborArray:
		return c.members(short, n, '[', ']', func() error { return c.value(depth + 1) })
	case cborMap:
		return c.members(short, n, '{', '}', func() error {
			if err := c.key(); err != nil {
				return err
			}
			c.out = append(c.out, ':')
			return c.value(depth + 1)
		})
	case cborTag:
		return c.tagged(n, depth)
	default:
		return c.simple(short, n)
	}
	return nil
}

// negative writes -1-n.
func (c *cbor) negative(n uint64) {
	if n <= math.MaxInt64 {
		c.int(-1 - int64(n))
		return
	}
	c.raw("-")
	if n == math.MaxUint64 {
		c.raw("18446744073709551616")
		return
	}
	c.uint(n + 1)
}

// chunks returns bytes or text, which may come in several pieces.
func (c *cbor) chunks(major, short byte, n uint64) ([]byte, error) {
	if short != indefinite {
		return c.take(n)
	}
	var all []byte
	for !c.ended() {
		m, short, n, err := c.head()
		if err != nil {
			return nil, err
		}
		if m != major || short == indefinite {
			return nil, errForm
		}
		b, err := c.take(n)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// ended steps over the end of what has no length.
func (c *cbor) ended() bool {
	if len(c.rest) == 0 || c.rest[0] != cborBreak {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

// members writes n members between two brackets, or those up to the end.
func (c *cbor) members(short byte, n uint64, open, end byte, member func() error) error {
	c.out = append(c.out, open)
	for i := uint64(0); short == indefinite || i < n; i++ {
		if short == indefinite && c.ended() {
			break
		}
		if i > 0 {
			c.out = append(c.out, ',')
		}
		if err := member(); err != nil {
			return err
		}
	}
	c.out = append(c.out, end)
	return nil
}

// key writes the key of a member. CBOR's may be anything; those of sensors are text
// or numbers.
func (c *cbor) key() error {
	major, short, n, err := c.head()
	if err != nil {
		return err
	}
	switch major {
	case cborText, cborBytes:
		b, err := c.chunks(major, short, n)
		c.string(b)
		return err
	case cborUint, cborNegative:
		if short == indefinite {
			return errForm
		}
		c.raw(`"`)
		if major == cborUint {
			c.uint(n)
		} else {
			c.negative(n)
		}
		c.raw(`"`)
		return nil
	}
	return errForm
}

// The tags whose content is not as it stands (RFC 8949, section 3.4).
const (
	tagBig         = 2
	tagNegativeBig = 3
	tagDecimal     = 4
)

// tagged writes what a tag stands before.
func (c *cbor) tagged(tag uint64, depth int) error {
	switch tag {
	case tagBig, tagNegativeBig:
		major, short, n, err := c.head()
		if err != nil {
			return err
		}
		if major != cborBytes || short == indefinite || n > 64 {
			return errForm
		}
		b, err := c.take(n)
		v := new(big.Int).SetBytes(b)
		if tag == tagNegativeBig {
			v.Not(v)
		}
		c.out = v.Append(c.out, 10)
		return err
	case tagDecimal:
		return c.decimal()
	}
	return c.value(depth + 1)
}

// decimal writes a list of exponent and mantissa as one number.
func (c *cbor) decimal() error {
	major, short, n, err := c.head()
	if err != nil {
		return err
	}
	if major != cborArray || short == indefinite || n != 2 {
		return errForm
	}
	exponent, err := c.small()
	if err != nil {
		return err
	}
	mantissa, err := c.small()
	c.int(mantissa)
	c.raw("e")
	c.int(exponent)
	return err
}

// small reads a whole number that int64 can hold.
func (c *cbor) small() (int64, error) {
	major, short, n, err := c.head()
	switch {
	case err != nil:
		return 0, err
	case short == indefinite || n > math.MaxInt64:
		return 0, errForm
	case major == cborUint:
		return int64(n), nil
	case major == cborNegative:
		return -1 - int64(n), nil
	}
	return 0, errForm
}

// simple writes a float, or one of the values without content.
func (c *cbor) simple(short byte, n uint64) error {
	switch short {
	case 20, 21:
		c.bool(short == 21)
	case 25:
		c.float(half(uint16(n)), 32)
	case 26:
		c.float(float64(math.Float32frombits(uint32(n))), 32)
	case 27:
		c.float(math.Float64frombits(n), 64)
	case indefinite:
		return errForm
	default: // null, undefined, and what nobody has given a meaning
		c.raw("null")
	}
	return nil
}

// half returns the number of an IEEE 754 half (RFC 8949, appendix D).
func half(h uint16) float64 {
	exponent, fraction := int(h>>10&0x1f), float64(h&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 31:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if h>>15 != 0 {
		return -f
	}
	return f
}
