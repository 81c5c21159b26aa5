package setup

import (
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Point is a named, typed value of a device. Exactly one of Coil, Discrete,
// Input, Holding, Ref, File, FIFO and Object says where it is.
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
	// File is the number of the file, 1 to 65535, whose registers are read from
	// record on, by function 20.
	File *int `yaml:"file"`
	// Record is the number of the first register in the file, 0 to 9999. Default 0.
	Record *int `yaml:"record"`
	// FIFO is the address of the pointer of a queue of registers, read by function
	// 24: the point is what came last in it, with a type of two registers the last
	// two. Where nothing is in it there is no value: sentinel.
	FIFO *int `yaml:"fifo"`
	// Object is the id of an object of the device's identification, 0 to 255, a
	// text, read by function 43/14: 0 is the vendor, 1 the product code, 2 the
	// revision, 128 and up are the maker's own. Give it a long every.
	Object *int `yaml:"object"`
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
	// int32, uint48, int48, uint64, int64, float16, float32, float64, uint24 and
	// int24 (the lowest bits of two registers), uint8 and int8 (one half of a
	// register, see byte), bcd8 (that, too), bcd16, bcd32, bcd48 and bcd64 (a digit
	// in four bits each), signmag16 and signmag32 (a sign bit and a magnitude),
	// mod10k32, mod10k48 and mod10k64 (registers that count to 10,000 each), string
	// (see length), utf16 (a text with a character in each register) or bool (true
	// unless the register is 0, see true_is); or of a time, see zone:
	// datetime3 (year, month, day, hour, minute, second, a byte each), datetime4 (IEC
	// 60870-5-4, as Schneider's DATETIME), datetime6 (the same six, a register each),
	// datetime7 (and milliseconds), datetime_cosem (12 bytes of DLMS), unixtime (32
	// bits of seconds since 1970), unixtime_ms (64 bits), or time (see parts). Coils
	// and discrete inputs are bool.
	Type string `yaml:"type"`
	// Order is the byte and word order. Default: the device's. Two letters (AB,
	// BA) suit 16 bits, four 32 bits, six 48, eight 64 bits; four letters mean the
	// same word and byte order at any width. Of 48 and 64 bits any order of the
	// registers will do, as EFGHABCD. Of a string only the bytes of each register are
	// swapped (BADC, DCBA), its registers stay as they are.
	Order string `yaml:"order"`
	// Bit picks one bit of a register, 0 is the least significant, 15 the most; of
	// several registers with a type of their width: 23 of a uint32. The point is
	// bool.
	Bit *int `yaml:"bit"`
	// Bits picks some bits of a register as a number: "4-7"; of several with a type
	// of their width: "0-23" of a uint32. Of an int16, int32 ... they are signed.
	Bits string `yaml:"bits"`
	// Byte is the half of the register that an int8, uint8 or bcd8 is in: low (the
	// default) or high. For a string it says that each register has one character.
	Byte string `yaml:"byte"`
	// Bytes is how many bytes the device has in a register at this address, 1, or an
	// even number up to 250, where it is not two (input and holding): of a meter
	// that has 4 bytes for an energy at one address and 12 for a time.
	Bytes int `yaml:"bytes"`
	// Length is the length of a string in bytes, 1 to 250, or 125 with one
	// character a register. Padding of NUL, 0xFF and spaces at the end is cut off.
	// What is not UTF-8 is read as Latin-1.
	Length int `yaml:"length"`
	// Parts make one value of several numbers, at most 8, which are read in one
	// request. The value is the sum of each times its weight, a whole number where
	// all weights are; with type: time a time.
	Parts []Part `yaml:"parts"`
	// Zone is where a time is read as local time: Europe/Berlin, UTC (the default)
	// or a distance to it as "+01:00". The cloud gets milliseconds since 1970.
	Zone string `yaml:"zone"`
	// Scale multiplies the number read, exactly as decimals: 213 by 0.1 is 21.3.
	Scale *bridge.Decimal `yaml:"scale"`
	// Offset is added after Scale.
	Offset *bridge.Decimal `yaml:"offset"`
	// Range maps the raw range linearly to a range of values, in place of Scale
	// and Offset; raw numbers beyond it go on along the line.
	Range *Range `yaml:"range"`
	// Table maps raw numbers to values along a line through several points, for
	// what is not linear: {raw: [-2, -1, 1, 2], value: [0, -1, 1, 0]}.
	Table *Table `yaml:"table"`
	// ScalePoint names a point of this device that holds the power of ten to
	// multiply with, as SunSpec has it: an integer, or what its scale, offset or table
	// makes of one, a whole number from -10 to 10. Both are always read in one request.
	ScalePoint string `yaml:"scale_point"`
	// Invalid are raw numbers that mean "no value"; the reading is then bad.
	// They are compared before scaling, as bits: 0x8000 and -32768 are the same
	// for an int16. All from one to another are "0xfff0-0xffff". Of a float a decimal
	// number is that number: -9999, 1e30.
	Invalid []Raw `yaml:"invalid"`
	// Enum names the numbers that the point may have. The cloud gets the number,
	// and the names in the catalogue; of a number without a name the log tells once.
	Enum map[int64]string `yaml:"enum"`
	// EnumStrict makes a number that the enum does not name bad: out_of_range.
	// Default false.
	EnumStrict bool `yaml:"enum_strict"`
	// Unit is the engineering unit, as the cloud is told.
	Unit string `yaml:"unit"`
	// Every is how often this point is read. Default: the device's.
	Every *setting.Duration `yaml:"every"`
	// Writable lets the point be set, by commands: true, or {min, max, max_step}.
	// Default false.
	Writable *permit.Writable `yaml:"writable"`
	// Keep has the gateway write the point by itself, again and again, as a
	// watchdog needs it. Default: it is not.
	Keep *Keep `yaml:"keep"`
	// Access says what may be done with the point: read (the default), write or
	// read_write, which is what writable alone means. A point with write is never
	// read, on no occasion, nor by a request for its neighbours.
	Access string `yaml:"access"`
	// Poll false leaves a writable point out of the polls: it is read back after it
	// was set, and when a command asks for it by name. Default true.
	Poll *bool `yaml:"poll"`
	// Confirm says what shows that the point was set. Default: it is read back.
	Confirm *permit.Confirm `yaml:"confirm"`
	// Pulse makes a bool fall back: it is set to true, and to false so much later,
	// 20ms to 10s, whatever happens meanwhile.
	Pulse *setting.Duration `yaml:"pulse"`
	// Invert makes a bool of the opposite: true is 0 on the wire. Default false.
	Invert bool `yaml:"invert"`
	// TrueIs is the raw number that stands for true, of type: bool; others are false.
	// Of a coil that is written by function 5 it is what is written for true, where
	// the device wants another number than 0xFF00: 0x5500 to toggle it, for instance.
	TrueIs *uint16 `yaml:"true_is"`
	// FalseIs is the raw number that stands for false. Default 0. With it a register
	// that has neither is bad: out_of_range.
	FalseIs *uint16 `yaml:"false_is"`
	// WriteFunction is the Modbus function that sets the point: 5 or 15 for coils,
	// 6, 16 or 22 for registers. Default: by the device's write.
	WriteFunction *int `yaml:"write_function"`
	// Together is the run of addresses that the device answers only as a whole, as
	// "0-7" for eight coils: it is always read in one request. With
	// read_modify_write it is written as a whole, too.
	Together string `yaml:"together"`
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
	// Thin lets readings of the point that wait become aggregates before any are dropped
	// for want of room, or with off keeps them from it. Default: the device's.
	Thin *setting.Thin `yaml:"thin"`
}

// Part is one number of a point's value.
type Part struct {
	// Offset is where the number is, in registers from the point's address; it may
	// be negative. Default 0.
	Offset *int `yaml:"offset"`
	// Register is the address of the number, counted as the point's own is, in
	// place of offset.
	Register *int `yaml:"register"`
	// Type is how the number is read: an integer type of points. Default uint16.
	Type string `yaml:"type"`
	// Order is its byte and word order. Default: the point's.
	Order string `yaml:"order"`
	// Bit picks one bit, as for points.
	Bit *int `yaml:"bit"`
	// Bits picks some bits, as for points.
	Bits string `yaml:"bits"`
	// Byte is the half of the register that an int8, uint8 or bcd8 is in.
	Byte string `yaml:"byte"`
	// Invalid are raw numbers of this part that mean that the point has no value.
	Invalid []Raw `yaml:"invalid"`
	// Weight is how often the number counts in the sum: 1000 for MWh beside kWh. Of an
	// exponent it is -1 where the part is how many decimals the value has. Default 1.
	Weight *bridge.Decimal `yaml:"weight"`
	// Is says what the number is: number (the default; it counts in the sum), sign
	// (any bit set makes the value negative), exponent (the value is times ten to
	// its power), exponent2 (times two to its power), factor (the value is multiplied
	// by it, as by the ratio of a transformer) or divisor (divided by it); of a time year, month, day, hour, minute,
	// second, millisecond,
	// hundredth (of a second), seconds (since 1970), deviation (minutes from this
	// time to UTC) or invalid (any bit set: the clock is not right).
	Is string `yaml:"is"`
	// Invert has a sign the other way round: none of its bits set is negative.
	// Default false.
	Invert bool `yaml:"invert"`
	// Add is added to an exponent, or to the number of a time, 1900 to a year for
	// instance; a year below 100 is of this century without it.
	Add int `yaml:"add"`
}

// Table is a line through several points.
type Table struct {
	// Raw are numbers as they are read, two at least, in ascending order; a raw
	// number beyond them is bad: out_of_range.
	Raw []bridge.Decimal `yaml:"raw"`
	// Value are the values that belong to them.
	Value []bridge.Decimal `yaml:"value"`
	// Codes says that the raw numbers are codes: one between two of them is bad.
	// Default false: it lies on the line between them.
	Codes bool `yaml:"codes"`
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
	if _, _, err := wire.ParseRef(string(text)); err != nil {
		return err
	}
	*r = Ref(text)
	return nil
}

// Raw is a raw number, unsigned up to 64 bits or negative, or all from one to
// another.
type Raw struct {
	bits  uint64
	sign  bool
	plain string // a decimal number as it was written: of a float it is meant as one
	float bool   // no integer is the number
	to    *Raw
}

// UnmarshalText reads 65535, -1, 0x8000, -9999.5 or 0xfff0-0xffff.
func (r *Raw) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is not a raw number: write it as 65535, -1 or 0x8000, or several as 0xfff0-0xffff", text)
	s := strings.ToLower(string(text))
	if i := strings.LastIndexByte(s, '-'); i > 0 && s[i-1] != 'e' {
		var to Raw
		if to.UnmarshalText([]byte(strings.TrimSpace(s[i+1:]))) != nil {
			return wrong
		}
		if r.UnmarshalText([]byte(strings.TrimSpace(s[:i]))) != nil || r.to != nil {
			return wrong
		}
		r.to = &to
		return nil
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil && v < 0 {
		*r = Raw{bits: uint64(v), sign: true, plain: s}
		return nil
	}
	base := 10
	hex, ok := strings.CutPrefix(s, "0x")
	if ok {
		base = 16
	}
	v, err := strconv.ParseUint(hex, base, 64)
	*r = Raw{bits: v}
	if !ok {
		r.plain = s
		if err != nil && strings.Trim(s, "+-.0123456789e") == "" { // 1e30, -99.5
			_, err = strconv.ParseFloat(s, 64)
			r.float = true
		}
	}
	if err != nil {
		return wrong
	}
	return nil
}

// String writes r as a number.
func (r Raw) String() string {
	text := "0x" + strconv.FormatUint(r.bits, 16)
	if r.sign || r.float {
		text = r.plain
	}
	if r.to != nil {
		text += "-" + r.to.String()
	}
	return text
}

// in returns the bits of r as the field has them, and whether it can. A decimal
// number of a float is that float.
func (r Raw) in(f *point.Field) (uint64, bool) {
	if bits, ok := f.FloatBits(r.plain); ok || r.float {
		return bits, ok
	}
	bits := max(int(f.Bits), 1)
	mask := ^uint64(0) >> (64 - bits)
	if r.sign {
		return r.bits & mask, int64(r.bits) >= -1<<(bits-1)
	}
	return r.bits, r.bits <= mask
}

// Deadband is by how much a number must differ from the one delivered last:
// 0.2, or 1% of it.
type Deadband struct {
	Value   bridge.Decimal
	Percent bool
}

// UnmarshalText reads 0.2 or 1%.
func (d *Deadband) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	var v bridge.Decimal
	if err := v.UnmarshalText([]byte(strings.TrimSpace(number))); err != nil || v.Coef < 0 {
		return fmt.Errorf("%q is not a deadband: write a number that is not negative, as 0.2, or a percentage, as 1%%", text)
	}
	*d = Deadband{v, percent}
	return nil
}

// Report delivers, instead of readings, what they were like over a time, as
// points of their own: load_mean, load_max.
type Report struct {
	// Every is the time that one report is about, aligned to the wall clock.
	Every setting.Duration `yaml:"every"`
	// As says what of it: mean, min, max, last.
	As []string `yaml:"as"`
}
