package setup

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
)

func decimal(t testing.TB, s string) *bridge.Decimal {
	t.Helper()
	var d bridge.Decimal
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return &d
}

// decodeOne decodes a single point from the bytes of its registers.
func decodeOne(t testing.TB, p Point, data string) bridge.Value {
	t.Helper()
	if p.Holding == nil && p.Coil == nil {
		p.Holding = at(0)
	}
	return decodePoints(t, map[string]Point{"x": p}, data)["x"]
}

func decodePoints(t testing.TB, points map[string]Point, data string) map[string]bridge.Value {
	t.Helper()
	var d Device
	d.SetDefaults()
	d.Points = points
	fields, problems := Fields(d)
	for _, p := range problems {
		t.Fatalf("%v: %s: %s", p.Path, p.Text, p.Fix)
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(data, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	blocks := plan.OfTable(fields, plan.Limits{Words: 125, Bits: 2000, Gap: -1}, plan.Cost{Request: 1e9})
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	got := make(map[string]bridge.Value)
	for i := range blocks[0].Fields {
		f := &blocks[0].Fields[i]
		got[f.Name] = f.Decode(raw)
	}
	return got
}

func raw(t *testing.T, text string) (r Raw) {
	t.Helper()
	if err := r.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

func word(n uint16) *uint16 { return &n }

func TestDecode(t *testing.T) {
	bad := bridge.Bad
	tests := []struct {
		name  string
		point Point
		data  string
		want  bridge.Value
	}{
		{"default is uint16", Point{}, "ffff", bridge.Uint(65535)},
		{"int16", Point{Type: "int16"}, "fffe", bridge.Int(-2)},
		{"int16 BA", Point{Type: "int16", Order: "BA"}, "feff", bridge.Int(-2)},
		{"uint16 in a device of CDAB", Point{Order: "CDAB"}, "1234", bridge.Uint(0x1234)},
		{"uint16 in a device of BADC", Point{Order: "BADC"}, "1234", bridge.Uint(0x3412)},
		{"uint32 ABCD", Point{Type: "uint32"}, "01020304", bridge.Uint(0x01020304)},
		{"uint32 CDAB", Point{Type: "uint32", Order: "CDAB"}, "03040102", bridge.Uint(0x01020304)},
		{"uint32 BADC", Point{Type: "uint32", Order: "BADC"}, "02010403", bridge.Uint(0x01020304)},
		{"uint32 DCBA", Point{Type: "uint32", Order: "dcba"}, "04030201", bridge.Uint(0x01020304)},
		{"int32", Point{Type: "int32"}, "fffffff6", bridge.Int(-10)},
		{"uint64 ABCDEFGH", Point{Type: "uint64", Order: "ABCDEFGH"}, "0102030405060708", bridge.Uint(0x0102030405060708)},
		{"uint64 GHEFCDAB", Point{Type: "uint64", Order: "GHEFCDAB"}, "0708050603040102", bridge.Uint(0x0102030405060708)},
		{"uint64 CDAB is GHEFCDAB", Point{Type: "uint64", Order: "CDAB"}, "0708050603040102",
			bridge.Uint(0x0102030405060708)},
		{"uint64 BADCFEHG", Point{Type: "uint64", Order: "BADCFEHG"}, "0201040306050807", bridge.Uint(0x0102030405060708)},
		{"uint64 HGFEDCBA", Point{Type: "uint64", Order: "DCBA"}, "0807060504030201", bridge.Uint(0x0102030405060708)},
		{"uint64 EFGHABCD", Point{Type: "uint64", Order: "EFGHABCD"}, "0506070801020304", bridge.Uint(0x0102030405060708)},
		{"uint64 CDABGHEF", Point{Type: "uint64", Order: "CDABGHEF"}, "0304010207080506", bridge.Uint(0x0102030405060708)},
		{"uint64 BADCFEHG by halves", Point{Type: "uint64", Order: "FEHGBADC"}, "0605080702010403",
			bridge.Uint(0x0102030405060708)},
		{"uint48 CDEFAB", Point{Type: "uint48", Order: "CDEFAB"}, "030405060102", bridge.Uint(0x010203040506)},
		{"float64 EFGHABCD", Point{Type: "float64", Order: "EFGHABCD"}, "54442d18400921fb", bridge.Float64(math.Pi)},
		{"uint64 keeps all bits", Point{Type: "uint64"}, "ffffffffffffffff", bridge.Uint(math.MaxUint64)},
		{"int64", Point{Type: "int64"}, "fffffffffffffffe", bridge.Int(-2)},
		{"float32", Point{Type: "float32"}, "42ab47ae", bridge.Float32(85.64)},
		{"float32 CDAB", Point{Type: "float32", Order: "CDAB"}, "47ae42ab", bridge.Float32(85.64)},
		{"float64", Point{Type: "float64"}, "400921fb54442d18", bridge.Float64(math.Pi)},
		{"float16", Point{Type: "float16"}, "c500", bridge.Float32(-5)},
		{"float16 smallest", Point{Type: "float16"}, "0001", bridge.Float32(5.9604645e-8)},
		{"float16 largest", Point{Type: "float16"}, "7bff", bridge.Float32(65504)},
		{"NaN", Point{Type: "float32"}, "7fc00000", bad(bridge.ReasonNotANumber)},
		{"infinity", Point{Type: "float64"}, "fff0000000000000", bad(bridge.ReasonNotANumber)},
		{"float16 infinity", Point{Type: "float16"}, "7c00", bad(bridge.ReasonNotANumber)},
		{"bool", Point{Type: "bool"}, "0100", bridge.Bool(true)},
		{"bit 3", Point{Bit: at(3)}, "0008", bridge.Bool(true)},
		{"bit 15", Point{Bit: at(15)}, "7fff", bridge.Bool(false)},
		{"bit 3, bytes swapped", Point{Bit: at(3), Order: "BADC"}, "0800", bridge.Bool(true)},
		{"bits 4-7", Point{Bits: "4-7"}, "12a4", bridge.Uint(10)},
		{"uint8 low", Point{Type: "uint8"}, "12ff", bridge.Uint(255)},
		{"int8 high", Point{Type: "int8", Byte: "high"}, "ff12", bridge.Int(-1)},
		{"bcd16", Point{Type: "bcd16"}, "1234", bridge.Uint(1234)},
		{"bcd32", Point{Type: "bcd32", Order: "CDAB"}, "56781234", bridge.Uint(12345678)},
		{"not bcd", Point{Type: "bcd16"}, "12a4", bad(bridge.ReasonOutOfRange)},
		{"string", Point{Type: "string", Length: 6}, "464235300000", bridge.String("FB50")},
		{"string, spaces and FF", Point{Type: "string", Length: 6}, "4642352020ff", bridge.String("FB5")},
		{"string after NUL", Point{Type: "string", Length: 6}, "464200313233", bridge.String("FB")},
		{"string, bytes swapped", Point{Type: "string", Length: 4, Order: "BADC"}, "42463035", bridge.String("FB50")},
		{"string, odd length", Point{Type: "string", Length: 3}, "46423531", bridge.String("FB5")},
		{"string in UTF-8", Point{Type: "string", Length: 4}, "c2b04300", bridge.String("°C")},
		{"string in Latin-1", Point{Type: "string", Length: 2}, "b043", bridge.String("°C")},
		{"string in Latin-1, swapped", Point{Type: "string", Length: 2, Order: "DCBA"}, "43b0", bridge.String("°C")},
		{"UTF-16", Point{Type: "utf16", Length: 10}, "004100e420ac00000058", bridge.String("Aä€")},
		{"UTF-16, bytes swapped", Point{Type: "utf16", Length: 8, Order: "BADC"}, "fffe4100e4000000", bridge.String("Aä")},
		{"UTF-16, a pair", Point{Type: "utf16", Length: 8}, "d83dde0000200020", bridge.String("\U0001f600")},
		{"UTF-16, half a pair", Point{Type: "utf16", Length: 4}, "0041d83d", bridge.String("A\ufffd")},
		{"true_is", Point{Type: "bool", TrueIs: word(0xaa)}, "00aa", bridge.Bool(true)},
		{"true_is, another", Point{Type: "bool", TrueIs: word(0xaa)}, "0001", bridge.Bool(false)},
		{"false_is", Point{Type: "bool", TrueIs: word(1), FalseIs: word(2)}, "0002", bridge.Bool(false)},
		{"neither true nor false", Point{Type: "bool", TrueIs: word(1), FalseIs: word(2)}, "0000",
			bad(bridge.ReasonOutOfRange)},
		{"sentinel of a float", Point{Type: "float32", Invalid: []Raw{raw(t, "-9999")}}, "c61c3c00",
			bad(bridge.ReasonSentinel)},
		{"sentinel of a float, in bits", Point{Type: "float32", Invalid: []Raw{raw(t, "0x7f7fffff")}}, "7f7fffff",
			bad(bridge.ReasonSentinel)},
		{"sentinel of a float, large", Point{Type: "float32", Order: "CDAB", Invalid: []Raw{raw(t, "1e30")}}, "f2ca7149",
			bad(bridge.ReasonSentinel)},
		{"sentinels from one to another", Point{Type: "int16", Invalid: []Raw{raw(t, "0x7ff0-0x7fff")}}, "7ff8",
			bad(bridge.ReasonSentinel)},
		{"below them", Point{Type: "int16", Invalid: []Raw{raw(t, "32752 - 32767")}}, "7fef", bridge.Int(32751)},
		{"scale", Point{Scale: decimal(t, "0.1")}, "00d5", bridge.Float64(21.3)},
		{"scale and offset", Point{Type: "int16", Scale: decimal(t, "0.1"), Offset: decimal(t, "-40")}, "fff6",
			bridge.Float64(-41)},
		{"scaled uint64", Point{Type: "uint64", Scale: decimal(t, "0.01"), Offset: decimal(t, "5")}, "0000000000000065",
			bridge.Float64(6.01)},
		{"scaled float32", Point{Type: "float32", Scale: decimal(t, "10")}, "41aa6666", bridge.Float64(213)},
		{"sentinel", Point{Type: "int16", Invalid: []Raw{{bits: 0x8000}}}, "8000", bad(bridge.ReasonSentinel)},
		{"sentinel, negative", Point{Type: "int16", Invalid: []Raw{raw(t, "-1")}}, "ffff", bad(bridge.ReasonSentinel)},
		{"no sentinel", Point{Type: "int16", Invalid: []Raw{{bits: 0x8000}}}, "8001", bridge.Int(-32767)},
		{"enum", Point{Enum: map[int64]string{2: "cooling"}}, "0002", bridge.Uint(2)},
		{"out of the enum (F07)", Point{Enum: map[int64]string{2: "cooling"}}, "0003", bridge.Uint(3)},
		{"out of a strict enum", Point{Enum: map[int64]string{2: "cooling"}, EnumStrict: true}, "0003",
			bad(bridge.ReasonOutOfRange)},
		{"range", Point{Type: "int16", Range: &Range{[]bridge.Decimal{{}, {Coef: 27648}}, []bridge.Decimal{{}, {Coef: 10}}}},
			"3600", bridge.Float64(5)},
		{"range, beyond", Point{Type: "int16",
			Range: &Range{[]bridge.Decimal{{}, {Coef: 27648}}, []bridge.Decimal{{}, {Coef: 10}}}}, "fff6",
			bridge.Float64(-100.0 / 27648)},
		{"coil", Point{Coil: at(7)}, "01", bridge.Bool(true)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := decodeOne(t, test.point, test.data); got != test.want {
				t.Errorf("got %v of kind %d, want %v of kind %d", got, got.Kind(), test.want, test.want.Kind())
			}
		})
	}
}

func TestScalePoint(t *testing.T) {
	points := map[string]Point{
		"power":    {Holding: at(10), Type: "int16", ScalePoint: "power_sf"},
		"power_sf": {Holding: at(12), Type: "int16", Invalid: []Raw{{bits: 0x8000}}},
	}
	for data, want := range map[string]string{
		"04d2 0000 ffff": "123.4",
		"04d2 0000 0000": "1234",
		"04d2 0000 0002": "123400",
		"fb2e 0000 fffd": "-1.234",
		"04d2 0000 8000": "bad: sentinel",
		"04d2 0000 0063": "bad: out_of_range",
	} {
		if got := decodePoints(t, points, data)["power"].String(); got != want {
			t.Errorf("% s: %s, want %s", data, got, want)
		}
	}
}

// TestCoilBits: bits are packed from the least significant on.
func TestCoilBits(t *testing.T) {
	points := map[string]Point{"a": {Coil: at(100)}, "b": {Coil: at(109)}, "c": {Coil: at(110)}}
	got := decodePoints(t, points, "0102")
	if !got["a"].Truth() || !got["b"].Truth() || got["c"].Truth() {
		t.Errorf("%v, want true, true, false", got)
	}
}

func TestRawNumbers(t *testing.T) {
	for text, want := range map[string]string{"0x8000": "0x8000", "65535": "0xffff", "-1": "-1", "1.5": "1.5",
		"-1e30": "-1e30", "0xFFF0 - 65535": "0xfff0-0xffff"} {
		var r Raw
		if err := r.UnmarshalText([]byte(text)); err != nil || r.String() != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "x", "0x", "1.5.5", "1-2-3", "-", "0x1-", "e-e"} {
		if err := new(Raw).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
