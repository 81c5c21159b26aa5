package point

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/order"
)

// Whole is a value that is made of parts, all in the registers of one field.
type Whole struct {
	Parts []Part
	Exp   int            // the sum of the parts is times ten to its power, as scaling has it
	Zone  *time.Location // of a time; nil is UTC
	Words int            // registers of all parts
}

// Part is one number of a value that is made of several. All parts of a point
// are in the registers of its field.
type Part struct {
	*Field       // how the number is read; its address is not used
	At     int   // its first byte in the data of the whole
	Is     Role  // what the number is of the whole
	Weight int64 // of [Number], and of exponents
	Add    int64 // to the number: 2000 to a year of two digits, -4 to an exponent
}

// Role is what a part is of the whole.
type Role uint8

// The roles. Those from Year on are of a time.
const (
	Number    Role = iota // it counts weight times
	Sign                  // any bit set makes the whole negative
	Exponent              // the whole is times ten to its power
	Exponent2             // the whole is times two to its power
	Factor                // the whole is multiplied by it
	Divisor               // the whole is divided by it
	Year
	Month
	Day
	Hour
	Minute
	Second
	Milli     // of the second, in some formats seconds with it
	Hundredth // of the second
	Seconds   // since 1970
	Deviation // minutes from this time to UTC
	Invalid   // any bit set: the device does not trust its clock
)

// MaxParts is the most parts of a value: their sum cannot overflow then.
const MaxParts = 8

// number returns what a part has in the data of the whole.
func (p *Part) number(data []byte) bridge.Value { return p.Field.Decode(data[p.At:]) }

// number returns the raw number of parts whose data is given.
func (w *Whole) number(data []byte) bridge.Value {
	var sum wide
	negative, power, twos := false, int64(0), int64(0)
	factor, divisor := integer{abs: 1}, 1.0
	for i := range w.Parts {
		p := &w.Parts[i]
		v := p.number(data)
		if !v.Good() {
			return v
		}
		switch p.Is {
		case Sign:
			negative = negative != (v.Bits() != 0)
		case Exponent:
			power += p.exponent(v)
		case Exponent2:
			twos += p.exponent(v)
		case Factor:
			n, _ := exact(v)
			high, low := bits.Mul64(factor.abs, n.abs)
			if high != 0 {
				return bridge.Bad(bridge.ReasonOutOfRange)
			}
			factor = integer{factor.negative != n.negative, low}
		case Divisor:
			n, _ := v.Float()
			divisor *= n
		default:
			n, _ := exact(v)
			sum.add(n, p.Weight)
		}
	}
	if negative != factor.negative {
		sum.negate()
	}
	v := sum.times(factor.abs)
	if twos != 0 || divisor != 1 {
		f, _ := v.Float()
		f = math.Ldexp(f, int(twos)) / divisor
		if math.IsInf(f, 0) || math.IsNaN(f) || twos < -maxExponent || twos > maxExponent {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		v = bridge.Float64(f)
	}
	switch {
	case power == 0:
		return v
	case power < -maxPower || power > maxPower:
		return bridge.Bad(bridge.ReasonOutOfRange)
	}
	return powerScaling[power+maxPower].Apply(v)
}

// exponent returns what v adds to an exponent; what is no exponent is one of no use.
func (p *Part) exponent(v bridge.Value) int64 {
	n := int64(v.Bits())
	if n < -maxExponent || n > maxExponent {
		return 2 * maxExponent
	}
	return n*p.Weight + p.Add
}

// maxExponent is the most that an exponent may be: a float64 has about that many
// powers of two.
const maxExponent = 1100

// wide is a signed number of 128 bits.
type wide struct{ hi, lo uint64 }

// add adds a number times a weight. [MaxParts] numbers of 64 bits with weights of 18
// digits do not overflow.
func (n *wide) add(of integer, weight int64) {
	negative := of.negative
	if weight < 0 {
		negative, weight = !negative, -weight
	}
	hi, lo := bits.Mul64(of.abs, uint64(weight))
	if negative {
		t := wide{hi, lo}
		t.negate()
		hi, lo = t.hi, t.lo
	}
	var carry uint64
	n.lo, carry = bits.Add64(n.lo, lo, 0)
	n.hi, _ = bits.Add64(n.hi, hi, carry)
}

func (n *wide) negate() {
	var borrow uint64
	n.lo, borrow = bits.Sub64(0, n.lo, 0)
	n.hi, _ = bits.Sub64(0, n.hi, borrow)
}

// value returns n as it is if 64 bits hold it, else the nearest float64.
func (n wide) value() bridge.Value {
	switch {
	case n.hi == 0 && n.lo > math.MaxInt64:
		return bridge.Uint(n.lo)
	case n.hi == 0, n.hi == math.MaxUint64 && n.lo > math.MaxInt64:
		return bridge.Int(int64(n.lo))
	}
	if int64(n.hi) < 0 {
		n.negate()
		return bridge.Float64(-n.float())
	}
	return bridge.Float64(n.float())
}

// times returns n times m, as [wide.value] does.
func (n wide) times(m uint64) bridge.Value {
	if m == 1 {
		return n.value()
	}
	negative := int64(n.hi) < 0
	if negative {
		n.negate()
	}
	f := n.float() * float64(m)
	if n.hi == 0 {
		if n.hi, n.lo = bits.Mul64(n.lo, m); int64(n.hi) >= 0 {
			if negative {
				n.negate()
			}
			return n.value()
		}
	}
	if negative {
		f = -f
	}
	return bridge.Float64(f)
}

// float returns the float64 nearest to an n that is not negative.
func (n wide) float() float64 {
	if n.hi == 0 {
		return float64(n.lo)
	}
	// The lowest bits only say whether there is a rest, which rounding looks at.
	shift := 64 - bits.LeadingZeros64(n.hi)
	lost := n.lo<<(64-shift) != 0
	top := n.hi<<(64-shift) | n.lo>>shift
	if lost {
		top |= 1
	}
	return math.Ldexp(float64(top), shift)
}

// Undo reports why a value of parts cannot be written; nil if it can: then each
// part follows from the value. Where the parts are not those of a type of time,
// each bit of the registers must be of a part, too.
func (w *Whole) Undo(known bool) error {
	data := make([]byte, 2*w.Words)
	for i := range w.Parts {
		p := &w.Parts[i]
		if p.Is >= Exponent && p.Is < Year || p.Is == Deviation {
			return fmt.Errorf("there is more than one way to write it with a part that is %s", roleNames[p.Is])
		}
		p.put(data, ^uint64(0))
	}
	if i := slices.IndexFunc(data, func(b byte) bool { return b != 0xff }); i >= 0 && !known {
		return fmt.Errorf("register %d of %d has bits that are of no part, and what to write there is not known", i/2+1,
			w.Words)
	}
	return nil
}

// put sets the bits of a part in the data of the whole; others stay.
func (p *Part) put(data []byte, raw uint64) {
	mask := p.Mask
	if mask == 0 {
		mask = ^uint64(0) >> (64 - p.Bits)
	}
	at := data[p.At:]
	p.Load.Store(at, p.Load.load(at)|raw&mask<<p.Shift)
}

// registers returns the registers of a raw number: the heaviest part gets as much
// of it as it can.
func (w *Whole) registers(n integer) ([]byte, bool) {
	data := make([]byte, 2*w.Words)
	signed := false
	for i := range w.Parts {
		if p := &w.Parts[i]; p.Is == Sign {
			signed = true
			if n.negative != p.Invert {
				p.put(data, 1)
			}
		}
	}
	rest := n.abs
	parts := slices.Clone(w.Parts)
	order.Stably(parts, func(a, b Part) int { return cmp.Compare(b.Weight, a.Weight) })
	for i := range parts {
		p := &parts[i]
		if p.Is != Number || p.Weight <= 0 {
			continue
		}
		of := integer{n.negative && !signed && rest >= uint64(p.Weight), rest / uint64(p.Weight)}
		raw, err := p.fit(of, bridge.Value{})
		if err != nil {
			return nil, false
		}
		p.put(data, raw)
		rest %= uint64(p.Weight)
	}
	return data, rest == 0
}

// roleNames are the roles as configurations name them.
var roleNames = map[Role]string{Number: "number", Sign: "sign", Exponent: "exponent", Exponent2: "exponent2",
	Factor: "factor", Divisor: "divisor", Year: "year", Month: "month",
	Day: "day", Hour: "hour", Minute: "minute", Second: "second", Milli: "millisecond", Hundredth: "hundredth",
	Seconds: "seconds", Deviation: "deviation", Invalid: "invalid"}

// Roles are the roles by the names that configurations have for them.
var Roles = func() map[string]Role {
	roles := make(map[string]Role)
	for r, name := range roleNames {
		roles[name] = r
	}
	return roles
}()
