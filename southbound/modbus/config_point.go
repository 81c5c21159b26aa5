package modbus

import (
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Point is a named, typed value of a device. Exactly one of Coil, Discrete,
// Input, Holding and Ref says where it is.
type Point struct {
	// Coil is the zero-based wire address of a coil, 0 to 65535.
	Coil *int `yaml:"coil"`
	// Discrete is the zero-based wire address of a discrete input.
	Discrete *int `yaml:"discrete"`
	// Input is the zero-based wire address of the first input register.
	Input *int `yaml:"input"`
	// Holding is the zero-based wire address of the first holding register.
	Holding *int `yaml:"holding"`
	// Ref is the address as manuals print it, five or six digits, counted from
	// 1: 40061 or 400061 is holding 60, 30001 is input 0, 10001 discrete 0 and
	// 00001 coil 0. The device's base does not apply.
	Ref Ref `yaml:"ref"`
	// SunSpec are ids of SunSpec models, 1 to 65534: holding then counts from the
	// register of the id of the first of them that the device has (base does not
	// apply). Where it is, is found on the device. Default: the device's.
	SunSpec []int `yaml:"sunspec"`
	// Repeat says that the point is in a block of a SunSpec model that comes
	// several times: it is the registers from one block to the next, 1 to 125, and
	// holding is the place in the first. The point is then there for each block
	// that the device has, up to 20: {n} in its name is the number from 1; without
	// {n} the names end in _1, _2, ...
	Repeat *int `yaml:"repeat"`
	// Type says how registers are read: uint16 (the default), int16, uint32,
	// int32, uint64, int64, float16, float32, float64, uint8 and int8 (one half
	// of a register, see byte), bcd16, bcd32, string (see length) or bool (true
	// unless the register is 0). Coils and discrete inputs are bool.
	Type string `yaml:"type"`
	// Order is the byte and word order. Default: the device's. Two letters (AB,
	// BA) suit 16 bits, four 32 bits, eight 64 bits; four letters mean the same
	// word and byte order at any width.
	Order string `yaml:"order"`
	// Bit picks one bit of a register, 0 is the least significant, 15 the most.
	// The point is bool.
	Bit *int `yaml:"bit"`
	// Bits picks some bits of a register as a number: "4-7".
	Bits string `yaml:"bits"`
	// Byte is the half of the register that an int8 or uint8 is in: low (the
	// default) or high.
	Byte string `yaml:"byte"`
	// Length is the length of a string in bytes, 1 to 250. Padding of NUL, 0xFF
	// and spaces at the end is cut off. What is not UTF-8 is read as Latin-1.
	Length int `yaml:"length"`
	// Scale multiplies the number read, exactly as decimals: 213 by 0.1 is 21.3.
	Scale *bridge.Decimal `yaml:"scale"`
	// Offset is added after Scale.
	Offset *bridge.Decimal `yaml:"offset"`
	// Range maps the raw range linearly to a range of values, in place of Scale
	// and Offset; raw numbers beyond it go on along the line.
	Range *Range `yaml:"range"`
	// ScalePoint names a point of this device that holds the power of ten to
	// multiply with, as SunSpec has it. Both are always read in one request.
	ScalePoint string `yaml:"scale_point"`
	// Invalid are raw numbers that mean "no value"; the reading is then bad.
	// They are compared before scaling, as bits: 0x8000 and -32768 are the same
	// for an int16.
	Invalid []Raw `yaml:"invalid"`
	// Enum names the numbers that the point may have; any other is bad. The
	// cloud gets the number, and the names in the catalogue.
	Enum map[int64]string `yaml:"enum"`
	// Unit is the engineering unit, as the cloud is told.
	Unit string `yaml:"unit"`
	// Every is how often this point is read. Default: the device's.
	Every *setting.Duration `yaml:"every"`
	// Writable lets the point be set, by commands: true, or {min, max, max_step}.
	// Default false.
	Writable *Writable `yaml:"writable"`
	// OnChange delivers a reading only when its value changed. Default: the
	// device's.
	OnChange *bool `yaml:"on_change"`
	// Heartbeat delivers an unchanged value at least so often. Default: the
	// device's.
	Heartbeat *setting.Duration `yaml:"heartbeat"`
	// Deadband is by how much a number must change to be delivered, absolute
	// (0.2) or as a percentage of the value delivered last (1%). It implies
	// on_change.
	Deadband *Deadband `yaml:"deadband"`
	// Report delivers a summary instead of the readings: poll fast, deliver the
	// mean of each minute.
	Report *Report `yaml:"report"`
}

// Range is a straight line through two points.
type Range struct {
	// Raw are two numbers as they are read.
	Raw []bridge.Decimal `yaml:"raw"`
	// Value are the two values that belong to them.
	Value []bridge.Decimal `yaml:"value"`
}

// Ref is an address as manuals print it; its leading zeros count.
type Ref string

// UnmarshalText reads five or six digits.
func (r *Ref) UnmarshalText(text []byte) error {
	if _, _, err := parseRef(string(text)); err != nil {
		return err
	}
	*r = Ref(text)
	return nil
}

// Raw is a raw number, unsigned up to 64 bits or negative.
type Raw struct {
	bits uint64
	sign bool
}

// UnmarshalText reads 65535, -1 or 0x8000.
func (r *Raw) UnmarshalText(text []byte) error {
	s := strings.ToLower(string(text))
	if v, err := strconv.ParseInt(s, 10, 64); err == nil && v < 0 {
		*r = Raw{uint64(v), true}
		return nil
	}
	base := 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = hex, 16
	}
	v, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		return fmt.Errorf("%q is not a raw number: write it as 65535, -1 or 0x8000", text)
	}
	*r = Raw{bits: v}
	return nil
}

// String writes r as a number.
func (r Raw) String() string {
	if r.sign {
		return strconv.FormatInt(int64(r.bits), 10)
	}
	return "0x" + strconv.FormatUint(r.bits, 16)
}

// in returns the lowest bits of r, and whether r fits in that many.
func (r Raw) in(bits int) (uint64, bool) {
	mask := ^uint64(0) >> (64 - bits)
	if r.sign {
		return r.bits & mask, int64(r.bits) >= -1<<(bits-1)
	}
	return r.bits, r.bits <= mask
}
