package setup

import (
	"bytes"
	"encoding/hex"
	"fieldbridge/southbound/modbus/permit"
	"math"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
)

// TestValuesOfTheField: the cases of the field by their ids, and others of their
// kinds.
func TestValuesOfTheField(t *testing.T) {
	bad := bridge.Bad
	kilo, mega := decimal(t, "1000"), decimal(t, "1000000")
	milli := decimal(t, "0.001")
	exponent := []Part{{Type: "uint32", Bits: "0-23"}, {Type: "int32", Bits: "24-31", Is: "exponent"}}
	signed := []Part{{Type: "int32", Bits: "0-23"}, {Type: "int32", Bits: "24-31", Is: "exponent"}}
	tests := []struct {
		name  string
		point Point
		data  string
		want  bridge.Value
	}{
		{"F08 voltage", Point{Scale: decimal(t, "0.1")}, "0901", bridge.Float64(230.5)},
		{"F08 current", Point{Type: "signmag32", Scale: milli}, "8000 087a", bridge.Float64(-2.17)},
		{"F08 power", Point{Type: "signmag32"}, "8000 01f4", bridge.Int(-500)},
		{"F08 power, CDAB", Point{Type: "signmag32", Order: "CDAB"}, "01f4 8000", bridge.Int(-500)},
		{"F08 pf", Point{Type: "signmag16", Scale: milli}, "83d9", bridge.Float64(-0.985)},
		{"F08 minus nothing", Point{Type: "signmag16"}, "8000", bridge.Int(0)},
		{"F08 sentinel", Point{Type: "signmag16", Invalid: []Raw{{bits: 0xffff}}}, "ffff", bad(bridge.ReasonSentinel)},
		{"F09", Point{Parts: []Part{{Offset: at(1)}, {Offset: at(2), Weight: kilo}}}, "01b0 001f", bridge.Int(31432)},
		{"F09 three, scaled", Point{Parts: []Part{{}, {Offset: at(1), Weight: kilo}, {Offset: at(2), Weight: mega}},
			Scale: milli}, "01b0 001f 0002", bridge.Float64(2031.432)},
		{"F09 decimals", Point{Parts: []Part{{Weight: decimal(t, "0.1")}, {Offset: at(1), Weight: decimal(t, "100")}}},
			"0003 0002", bridge.Float64(200.3)},
		{"F09 exact beyond floats", Point{Parts: []Part{{Type: "uint32"}, {Type: "uint32", Offset: at(2),
			Weight: decimal(t, "4294967296")}}}, "0000 0001 8000 0000", bridge.Uint(1<<63 | 1)},
		{"F09 exact, negative", Point{Parts: []Part{{}, {Type: "int32", Offset: at(1), Weight: decimal(t, "100000000")}}},
			"0001 8000 0000", bridge.Int(-214748364799999999)},
		{"F09 beyond 64 bits", Point{Parts: []Part{{Type: "uint64", Weight: decimal(t, "1000000")}}}, "ffffffffffffffff",
			bridge.Float64(1.8446744073709552e25)},
		{"F10", Point{Type: "mod10k32", Order: "CDAB"}, "0003 0020", bridge.Int(320003)},
		{"F10 as the case has it", Point{Type: "mod10k32"}, "0003 0020", bridge.Int(30032)},
		{"F10 negative", Point{Type: "mod10k32"}, "fffd ffe0", bridge.Int(-30032)},
		{"F10 three words", Point{Type: "mod10k48"}, "0001 0002 0003", bridge.Int(100020003)},
		{"F10 four words", Point{Type: "mod10k64"}, "270f 270f 270f 270f", bridge.Int(9999999999999999)},
		{"F10 four words, low first", Point{Type: "mod10k64", Order: "CDAB"}, "0004 0003 0002 0001",
			bridge.Int(1000200030004)},
		{"F10 no digits", Point{Type: "mod10k32"}, "0003 2710", bad(bridge.ReasonOutOfRange)},
		{"F10 in parts", Point{Parts: []Part{{Type: "int16", Weight: decimal(t, "10000")}, {Type: "int16", Offset: at(1)}}},
			"fffd ffe0", bridge.Int(-30032)},
		{"F11", Point{Type: "uint48"}, "0000 0001 e240", bridge.Uint(123456)},
		{"F11 long", Point{Type: "uint48"}, "0001 0000 0000", bridge.Uint(4294967296)},
		{"F11 EFCDAB", Point{Type: "uint48", Order: "EFCDAB"}, "e240 0001 0000", bridge.Uint(123456)},
		{"F11 BADC", Point{Type: "uint48", Order: "BADC"}, "0000 0100 40e2", bridge.Uint(123456)},
		{"F11 DCBA", Point{Type: "uint48", Order: "DCBA"}, "40e2 0100 0000", bridge.Uint(123456)},
		{"F11 signed", Point{Type: "int48"}, "ffff ffff fffe", bridge.Int(-2)},
		{"F12", Point{Parts: exponent}, "fd01 e240", bridge.Float64(123.456)},
		{"F12 signed", Point{Parts: signed}, "fdfe 1dc0", bridge.Float64(-123.456)},
		{"F12 CDAB", Point{Parts: signed, Order: "CDAB"}, "1dc0 fdfe", bridge.Float64(-123.456)},
		{"F12 too large", Point{Parts: signed}, "7ffe 1dc0", bad(bridge.ReasonOutOfRange)},
		{"int24", Point{Type: "int24"}, "fdfe 1dc0", bridge.Int(-123456)},
		{"uint24 CDAB", Point{Type: "uint24", Order: "CDAB"}, "e240 fd01", bridge.Uint(123456)},
		{"bits of a uint32", Point{Type: "uint32", Bits: "0-23"}, "fd01 e240", bridge.Uint(123456)},
		{"bits across registers", Point{Type: "uint32", Bits: "12-19"}, "fd05 a240", bridge.Uint(0x5a)},
		{"signed bits", Point{Type: "int16", Bits: "4-7"}, "00f0", bridge.Int(-1)},
		{"all bits of a uint64", Point{Type: "uint64", Bits: "0-63"}, "ffffffffffffffff", bridge.Uint(math.MaxUint64)},
		{"bit of a uint32", Point{Type: "uint32", Bit: at(23)}, "0080 0000", bridge.Bool(true)},
		{"sign in a register", Point{Parts: []Part{{Type: "uint32"}, {Offset: at(2), Is: "sign"}}}, "0000 01f4 0001",
			bridge.Int(-500)},
		{"sign in a bit before", Point{Holding: at(5), Parts: []Part{{}, {Offset: at(-1), Bit: at(7), Is: "sign"}}},
			"0080 01f4", bridge.Int(-500)},
		{"part that is missing", Point{Parts: []Part{{Invalid: []Raw{{bits: 0xffff}}}, {Offset: at(1)}}}, "ffff 0001",
			bad(bridge.ReasonSentinel)},
		{"sum that is missing", Point{Parts: []Part{{Type: "int16"}, {Offset: at(1), Type: "int16"}},
			Invalid: []Raw{raw(t, "-1")}}, "fffe 0001", bad(bridge.ReasonSentinel)},
		{"exponent to base 2", Point{Parts: []Part{{Type: "int16"}, {Offset: at(1), Type: "int16", Is: "exponent2"}}},
			"fffb fffc", bridge.Float64(-0.3125)},
		{"exponent to base 2, biased", Point{Parts: []Part{{Type: "uint32", Bits: "0-23"},
			{Type: "uint32", Bits: "24-31", Is: "exponent2", Add: -64}}}, "4100 0003", bridge.Float64(6)},
		{"exponent to base 2, too large", Point{Parts: []Part{{}, {Offset: at(1), Is: "exponent2"}}}, "0001 0400",
			bad(bridge.ReasonOutOfRange)},
		{"number of decimals", Point{Parts: []Part{{Type: "int16"},
			{Offset: at(1), Is: "exponent", Weight: decimal(t, "-1")}}},
			"ff04 0001", bridge.Float64(-25.2)},
		{"exponent with a bias", Point{Parts: []Part{{}, {Offset: at(1), Type: "uint8", Byte: "high", Is: "exponent",
			Add: -4}}},
			"0898 0305", bridge.Float64(220)},
		{"ratio of a transformer", Point{Parts: []Part{{Type: "int16"}, {Offset: at(1), Is: "factor"}}, Scale: milli},
			"f63c 0028", bridge.Float64(-100)},
		{"two ratios, one of them a quotient", Point{Parts: []Part{{}, {Offset: at(1), Is: "factor"},
			{Offset: at(2), Is: "factor"}, {Offset: at(3), Is: "divisor"}}, Scale: decimal(t, "0.1")},
			"044c 00c8 0002 0064", bridge.Float64(440)},
		{"a factor beyond 64 bits", Point{Parts: []Part{{Type: "uint64"}, {Offset: at(4), Is: "factor"}}},
			"ffffffffffffffff 0002", bridge.Float64(36893488147419103230)},
		{"divided by 0", Point{Parts: []Part{{}, {Offset: at(1), Is: "divisor"}}}, "0007 0000", bad(bridge.ReasonOutOfRange)},
		{"BCD parts", Point{Parts: []Part{{Type: "bcd16"}, {Type: "bcd16", Offset: at(1), Weight: decimal(t, "10000")}}},
			"5678 1234", bridge.Int(12345678)},
		{"BCD of three registers", Point{Type: "bcd48"}, "1234 5678 9012", bridge.Uint(123456789012)},
		{"BCD of four, CDAB", Point{Type: "bcd64", Order: "CDAB"}, "7890 3456 9012 0078", bridge.Uint(78901234567890)},
		{"BCD of a byte", Point{Type: "bcd8", Byte: "high"}, "4530", bridge.Uint(45)},
		{"BCD of a byte, no digit", Point{Type: "bcd8"}, "453a", bad(bridge.ReasonOutOfRange)},
		{"BCD in some bits", Point{Type: "bcd16", Bits: "8-14"}, "d930", bridge.Uint(59)},
		{"direction of which 1 is forward", Point{Parts: []Part{{}, {Offset: at(1), Is: "sign", Invert: true}}}, "012c 0001",
			bridge.Int(300)},
		{"direction of which 0 is backward", Point{Parts: []Part{{}, {Offset: at(1), Is: "sign", Invert: true}}}, "012c 0000",
			bridge.Int(-300)},
		{"F25 low", Point{Type: "string", Length: 4, Byte: "low"}, "0046 0042 0035 0000", bridge.String("FB5")},
		{"F25 high", Point{Type: "string", Length: 3, Byte: "high"}, "4600 4200 3500", bridge.String("FB5")},
		{"F25 low, swapped", Point{Type: "string", Length: 2, Byte: "low", Order: "BADC"}, "4600 4200", bridge.String("FB")},
		{"power factor, lagging", fourQuadrants(t), "3f733333", bridge.Float64(float64(float32(0.95)))},
		{"power factor, leading", fourQuadrants(t), "3f866666", bridge.Float64(2 - float64(float32(1.05)))},
		{"power factor, at the bound", fourQuadrants(t), "bf800000", bridge.Float64(-1)},
		{"power factor beyond", fourQuadrants(t), "40400000", bad(bridge.ReasonOutOfRange)},
		{"codes", codes(t), "0002", bridge.Float64(9600)},
		{"no such code", codes(t), "0001", bad(bridge.ReasonOutOfRange)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := decodeOne(t, test.point, test.data); got != test.want {
				t.Errorf("got %v of kind %d, want %v of kind %d", got, got.Kind(), test.want, test.want.Kind())
			}
		})
	}
}

// fourQuadrants is a power factor as Schneider Electric encodes it.
func fourQuadrants(t testing.TB) Point {
	return Point{Type: "float32", Table: &Table{Raw: decimals(t, "-2 -1 1 2"), Value: decimals(t, "0 -1 1 0")}}
}

func codes(t testing.TB) Point {
	return Point{Table: &Table{Raw: decimals(t, "0 2 3"), Value: decimals(t, "4800 9600 19200"), Codes: true}}
}

func decimals(t testing.TB, s string) (all []bridge.Decimal) {
	for _, field := range strings.Fields(s) {
		all = append(all, *decimal(t, field))
	}
	return all
}

func TestTimes(t *testing.T) {
	spread := []Part{{Is: "day"}, {Offset: at(1), Is: "month"}, {Offset: at(2), Is: "year", Add: 1900}}
	for _, test := range []struct {
		name  string
		point Point
		data  string
		want  string // RFC 3339 in UTC, or the reason
	}{
		{"datetime3", Point{Type: "datetime3"}, "1a0b 1c0d 2d1e", "2026-11-28T13:45:30Z"},
		{"datetime3, swapped", Point{Type: "datetime3", Order: "BADC"}, "0b1a 0d1c 1e2d", "2026-11-28T13:45:30Z"},
		{"datetime4", Point{Type: "datetime4"}, "001a 0bdc 0d2d 7724", "2026-11-28T13:45:30.5Z"},
		{"datetime4, invalid", Point{Type: "datetime4"}, "001a 0bdc 0dad 7724", "sentinel"},
		{"datetime6", Point{Type: "datetime6"}, "07ea 000b 001c 000d 002d 001e", "2026-11-28T13:45:30Z"},
		{"datetime7", Point{Type: "datetime7"}, "07ea 000b 001c 000d 002d 001e 01f4", "2026-11-28T13:45:30.5Z"},
		{"datetime_cosem", Point{Type: "datetime_cosem"}, "07ea 0b1c 060d 2d1e 32ff c400", "2026-11-28T12:45:30.5Z"},
		{"datetime_cosem, nothing known", Point{Type: "datetime_cosem"}, "07ea 0b1c ff0d 2d1e ff80 00ff",
			"2026-11-28T13:45:30Z"},
		{"unixtime", Point{Type: "unixtime"}, "692b a2ea", time.Unix(0x692ba2ea, 0).UTC().Format(time.RFC3339)},
		{"unixtime, CDAB", Point{Type: "unixtime", Order: "CDAB"}, "a2ea 692b",
			time.Unix(0x692ba2ea, 0).UTC().Format(time.RFC3339)},
		{"unixtime_ms", Point{Type: "unixtime_ms"}, "0000 0000 0000 03e8", "1970-01-01T00:00:01Z"},
		{"in a zone", Point{Type: "datetime3", Zone: "Europe/Berlin"}, "1a07 1c0d 2d1e", "2026-07-28T11:45:30Z"},
		{"at a distance", Point{Type: "datetime3", Zone: "-03:30"}, "1a07 1c0d 2d1e", "2026-07-28T17:15:30Z"},
		{"month 13", Point{Type: "datetime3"}, "1a0d 1c0d 2d1e", "out_of_range"},
		{"no month", Point{Type: "datetime3"}, "0000 0000 0000", "out_of_range"},
		{"30 February", Point{Type: "datetime3"}, "1a02 1e0d 2d1e", "out_of_range"},
		{"all ones", Point{Type: "datetime6"}, "ffff ffff ffff ffff ffff ffff", "out_of_range"},
		{"of parts", Point{Type: "time", Parts: spread}, "001c 000b 007e", "2026-11-28T00:00:00Z"},
		{"of BCD parts", Point{Type: "time", Parts: []Part{{Type: "bcd16", Is: "year"}, {Offset: at(1), Type: "uint8",
			Byte: "high", Is: "month"}, {Offset: at(1), Type: "uint8", Is: "day"}}}, "0026 0b1c", "2026-11-28T00:00:00Z"},
		{"of BCD bytes", Point{Type: "time", Parts: []Part{{Type: "bcd8", Byte: "high", Is: "year"},
			{Type: "bcd8", Is: "month"},
			{Offset: at(1), Type: "bcd8", Byte: "high", Is: "day"}, {Offset: at(1), Type: "bcd8", Is: "hour"},
			{Offset: at(2), Type: "bcd8", Byte: "high", Is: "minute"}, {Offset: at(2), Type: "bcd8", Is: "second"}}},
			"2611 2813 4530", "2026-11-28T13:45:30Z"},
	} {
		v := decodeOne(t, test.point, test.data)
		got := time.UnixMilli(int64(v.Bits())).UTC().Format(time.RFC3339Nano)
		if !v.Good() {
			got = v.Reason().String()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestWriteParts: what can be written comes back, what cannot is refused with the
// reason.
func TestWriteParts(t *testing.T) {
	kilo := decimal(t, "1000")
	energy := Point{Parts: []Part{{}, {Offset: at(1), Weight: kilo}}}
	for _, test := range []struct {
		name  string
		point Point
		value bridge.Value
		want  string // hex, or the error
	}{
		{"kWh and MWh", energy, bridge.Int(31432), "01b0001f"},
		{"too large", energy, bridge.Int(65536000), "65536000 does not fit in its parts"},
		{"negative", energy, bridge.Int(-1), "-1 does not fit in its parts"},
		{"a half", energy, bridge.Float64(0.5), "0.5 is not a whole number"},
		{"scaled", Point{Parts: energy.Parts, Scale: decimal(t, "0.1")}, bridge.Float64(3143.2), "01b0001f"},
		{"signed parts", Point{Parts: []Part{{Type: "int16", Weight: decimal(t, "10000")}, {Type: "int16", Offset: at(1)}}},
			bridge.Int(-30032), "fffdffe0"},
		{"with a sign", Point{Parts: []Part{{}, {Offset: at(1), Is: "sign"}}}, bridge.Int(-5), "00050001"},
		{"with a direction", Point{Parts: []Part{{}, {Offset: at(1), Is: "sign", Invert: true}}}, bridge.Int(5), "00050001"},
		{"against it", Point{Parts: []Part{{}, {Offset: at(1), Is: "sign", Invert: true}}}, bridge.Int(-5), "00050000"},
		{"BCD of three registers", Point{Type: "bcd48"}, bridge.Int(123456789012), "123456789012"},
		{"BCD of a byte", Point{Type: "bcd8", Byte: "high"}, bridge.Int(45), "4500"},
		{"BCD of a byte, too large", Point{Type: "bcd8"}, bridge.Int(100), "100 does not fit in bcd8"},
		{"BCD of seven bits, too large", Point{Type: "bcd16", Bits: "0-6"}, bridge.Int(80), "80 does not fit in bcd16"},
		{"time of BCD bytes", Point{Type: "time", Parts: []Part{{Type: "bcd8", Byte: "high", Is: "year"},
			{Type: "bcd8", Is: "month"}, {Offset: at(1), Type: "bcd8", Byte: "high", Is: "day"},
			{Offset: at(1), Type: "bcd8", Is: "hour"}}}, bridge.String("2026-11-28T13:00:00Z"), "26112813"},
		{"modulo", Point{Type: "mod10k48"}, bridge.Int(-100020003), "fffffffefffd"},
		{"modulo, too large", Point{Type: "mod10k32"}, bridge.Int(100000000), "100000000 does not fit in mod10k32"},
		{"magnitude", Point{Type: "signmag32"}, bridge.Int(-500), "800001f4"},
		{"magnitude, too large", Point{Type: "signmag16"}, bridge.Int(-32768), "-32768 does not fit in signmag16"},
		{"48 bits", Point{Type: "int48", Order: "CDAB"}, bridge.Int(-2), "fffeffffffff"},
		{"time", Point{Type: "datetime4"}, bridge.String("2026-11-28T13:45:30.5Z"), "001a0b1c0d2d7724"},
		{"time in its zone", Point{Type: "datetime6", Zone: "Europe/Berlin"}, bridge.String("2026-11-28T12:45:30Z"),
			"07ea000b001c000d002d001e"},
		{"time in ms", Point{Type: "unixtime"}, bridge.Int(1000), "00000001"},
		{"unixtime_ms", Point{Type: "unixtime_ms"}, bridge.Int(1001), "00000000000003e9"},
		{"datetime3", Point{Type: "datetime3"}, bridge.String("2026-11-28T13:45:30Z"), "1a0b1c0d2d1e"},
		{"no time", Point{Type: "datetime3"}, bridge.String("tomorrow"), `"tomorrow" is not a time`},
		{"table", Point{Scale: nil, Table: &Table{Raw: decimals(t, "0 100 200"), Value: decimals(t, "0 10 100")}},
			bridge.Float64(55), "0096"},
		{"table, beyond", Point{Table: &Table{Raw: decimals(t, "0 100"), Value: decimals(t, "10 0")}}, bridge.Int(11),
			"11 is not in the table"},
		{"code", codes(t), bridge.Int(9600), "0002"},
		{"no code", codes(t), bridge.Int(9601), "9601 is not in the table"},
		{"one character a register", Point{Type: "string", Length: 2, Byte: "low"}, bridge.String("FB"), "00460042"},
	} {
		p := test.point
		p.Holding, p.Writable = at(0), &permit.Writable{ReadModifyWrite: true}
		data, err := placed(t, p).Encode(test.value)
		got := hex.EncodeToString(data)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestPartsChecked: what cannot be is refused with what to do.
func TestPartsChecked(t *testing.T) {
	kilo := decimal(t, "1000")
	for _, test := range []struct {
		name  string
		point Point
		want  string
	}{
		{"no parts", Point{Parts: []Part{}}, "give 1 to 8 parts"},
		{"type beside parts", Point{Type: "uint32", Parts: []Part{{}}}, "remove type"},
		{"number turned round", Point{Parts: []Part{{Invert: true}}}, "remove invert"},
		{"float part", Point{Parts: []Part{{Type: "float32"}}}, "parts are integers"},
		{"no number", Point{Parts: []Part{{Is: "sign"}}}, "at least one part without is"},
		{"no role", Point{Parts: []Part{{Is: "expnent"}}}, `did you mean "exponent"?`},
		{"year of a number", Point{Parts: []Part{{}, {Is: "year"}}}, "times have year"},
		{"time without a day", Point{Type: "time", Parts: []Part{{Is: "year"}, {Is: "month"}}}, "give year, month and day"},
		{"time of a number", Point{Type: "time", Parts: []Part{{}}}, "times have year"},
		{"zone of a number", Point{Zone: "UTC"}, "only times have one"},
		{"no zone", Point{Type: "datetime3", Zone: "Mars/Olympus"}, "Europe/Berlin"},
		{"register and offset", Point{Parts: []Part{{Offset: at(1), Register: at(1)}}}, "keep one of them"},
		{"part before the table", Point{Parts: []Part{{}, {Offset: at(-9)}}}, "addresses are 0 to 65535"},
		{"far apart", Point{Parts: []Part{{}, {Offset: at(200)}}}, "do not fit in one request"},
		{"bits beside parts", Point{Bits: "0-3", Parts: []Part{{}}}, "give it to a part"},
		{"bits of one register", Point{Bits: "0-23"}, "add the type of several, as type: uint32"},
		{"writable exponent", Point{Writable: &permit.Writable{}, Parts: []Part{{}, {Offset: at(1), Is: "exponent"}}},
			"make the parts points of their own"},
		{"writable with a gap", Point{Writable: &permit.Writable{}, Parts: []Part{{}, {Offset: at(2), Weight: kilo}}},
			"register 2 of 3 has bits that are of no part"},
		{"writable bits of two", Point{Writable: &permit.Writable{}, Type: "uint32", Bits: "0-23"},
			"read_modify_write: true"},
		{"writable power factor", Point{Writable: &permit.Writable{}, Type: "float32",
			Table: &Table{Raw: decimals(t, "-1 0 1"), Value: decimals(t, "1 0 1")}}, "one value must belong to one raw number"},
		{"table in disorder", Point{Table: &Table{Raw: decimals(t, "1 0"), Value: decimals(t, "1 0")}},
			"sort the table by raw"},
		{"enum_strict alone", Point{EnumStrict: true}, "add enum"},
		{"deadband of a time", Point{Type: "datetime3", Deadband: &Deadband{}}, "only numbers have one"},
		{"scaled time", Point{Type: "datetime3", Scale: kilo}, "only numbers have scale"},
		{"long string, a character a register", Point{Type: "string", Byte: "low", Length: 126}, "1 to 125"},
	} {
		p := test.point
		p.Holding = at(3)
		var d Device
		d.SetDefaults()
		d.Points = map[string]Point{"x": p}
		_, problems := Fields(d)
		text := ""
		for _, p := range problems {
			text += p.Text + ": " + p.Fix + "\n"
		}
		if !strings.Contains(text, test.want) {
			t.Errorf("%s: %q, want %q", test.name, text, test.want)
		}
	}
}

// FuzzParts: what is decoded from parts and is written comes back.
func FuzzParts(f *testing.F) {
	kilo := decimal(f, "1000")
	points := []Point{
		{Parts: []Part{{}, {Offset: at(1), Weight: kilo}}},
		{Parts: []Part{{Type: "uint32"}, {Type: "uint16", Offset: at(2), Is: "sign"}}},
		{Parts: []Part{{Type: "int16", Weight: decimal(f, "10000")}, {Type: "int16", Offset: at(1)}}},
		{Parts: []Part{{Weight: decimal(f, "0.1")}, {Offset: at(1), Type: "bcd32", Weight: decimal(f, "6553.6")}}},
		{Type: "datetime3"}, {Type: "datetime4"}, {Type: "datetime6", Zone: "Europe/Berlin"}, {Type: "datetime7"},
		{Type: "unixtime"}, {Type: "unixtime_ms"},
		{Type: "string", Length: 4, Byte: "low"},
	}
	for i := range points {
		f.Add(byte(i), []byte{0x1a, 0x0b, 0x1c, 0x0d, 0x2d, 0x1e, 0, 1, 0, 0, 0, 0, 0, 0})
		f.Add(byte(i), []byte("\x07\xea\x00\x0b\x00\x1c\x00\x0d\x00\x2d\x00\x1e\x01\xf4"))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		p := points[int(which)%len(points)]
		p.Holding, p.Writable = at(0), &permit.Writable{}
		field := placed(t, p)
		if len(data) < 2*field.Words {
			return
		}
		v := field.Decode(bytes.Clone(data[:2*field.Words]))
		if !v.Good() {
			return
		}
		encoded, err := field.Encode(v)
		if err != nil {
			return // a part of the sum took more than its share, or a year does not fit
		}
		if got := field.Decode(encoded); got != v {
			t.Fatalf("%s: % x is %v, encoded % x, which is %v", field.TypeName, data[:2*field.Words], v, encoded, got)
		}
	})
}
