package setup

import (
	"bytes"
	"fieldbridge/southbound/modbus/permit"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// placed returns the field of a point as if it were alone in a block.
func placed(t testing.TB, p Point) *point.Field {
	t.Helper()
	f := finder{}
	var d Device
	d.SetDefaults()
	d.Points = map[string]Point{"x": p}
	r := f.point("x", point.Copy{}, d)
	if f.problems != nil {
		t.Fatal(f.problems)
	}
	return r
}

// FuzzEncodeDecode: for every type and order, what is decoded from registers is
// encoded to the same registers.
func FuzzEncodeDecode(f *testing.F) {
	names := slices.Sorted(maps.Keys(point.Types))
	letters := []string{"ABCD", "CDAB", "BADC", "DCBA"}
	wide := []string{"EFGHABCD", "CDABGHEF", "FEHGBADC", "GHABCDEF"}
	for i := range names {
		for o := range 2 * len(letters) {
			f.Add(byte(i), byte(o), []byte{1, 2, 3, 4, 5, 6, 7, 8}, false)
			f.Add(byte(i), byte(o), []byte{0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8}, true)
		}
	}
	f.Fuzz(func(t *testing.T, typ, order byte, data []byte, scaled bool) {
		p := Point{Holding: at(0), Type: names[int(typ)%len(names)], Order: letters[order%4],
			Writable: &permit.Writable{ReadModifyWrite: true}}
		kind := point.Types[p.Type]
		if kind.Bits == 64 && order%8 > 3 {
			p.Order = wide[order%4]
		}
		if kind.Kind == point.KindString {
			p.Length = 8
		}
		if scaled && (kind.Kind == point.KindInt || kind.Kind == point.KindUint || kind.Kind == point.KindBCD) &&
			kind.Bits <= 32 {
			p.Scale, p.Offset = &bridge.Decimal{Coef: 1, Exp: -2}, &bridge.Decimal{Coef: -40}
		}
		field := placed(t, p)
		if len(data) < 2*field.Words {
			return
		}
		data = data[:2*field.Words]
		v := field.Decode(data)
		if !v.Good() {
			return
		}
		encoded, err := field.Encode(v)
		if err != nil {
			if kind.Kind == point.KindString {
				return // Latin-1 may be longer as UTF-8
			}
			t.Fatalf("%s %s: % x is %v, which cannot be encoded: %v", p.Type, p.Order, data, v, err)
		}
		if again := field.Decode(encoded); again != v {
			t.Fatalf("%s %s: % x is %v, encoded % x, which is %v", p.Type, p.Order, data, v, encoded, again)
		}
		unique := kind.Bits >= 16 && kind.Kind != point.KindBool && // one way to write each number
			!strings.HasPrefix(p.Type, "signmag") && !strings.HasPrefix(p.Type, "mod10k")
		if field.Mask != 0 {
			unique, encoded = point.Placed{Field: field}.Holds(encoded, data), field.Merge(data, encoded)
		}
		if unique && !bytes.Equal(encoded, data) {
			t.Fatalf("%s %s: % x is %v, encoded % x", p.Type, p.Order, data, v, encoded)
		}
	})
}

func TestEncode(t *testing.T) {
	tests := []struct {
		name  string
		point Point
		value bridge.Value
		want  string // bytes, or the error
	}{
		{"scaled", Point{Type: "int16", Scale: decimal(t, "0.1")}, bridge.Float64(21.3), "\x00\xd5"},
		{"scaled, rounded", Point{Type: "int16", Scale: decimal(t, "0.1")}, bridge.Float64(-21.34), "\xff\x2b"},
		{"offset", Point{Scale: decimal(t, "0.1"), Offset: decimal(t, "-40")}, bridge.Int(-39), "\x00\x0a"},
		{"float from an integer", Point{Type: "float32"}, bridge.Int(2), "\x40\x00\x00\x00"},
		{"too big", Point{Type: "uint8"}, bridge.Int(256), "256 does not fit in uint8"},
		{"negative", Point{}, bridge.Int(-1), "-1 does not fit in uint16"},
		{"too small", Point{Type: "int8"}, bridge.Int(-129), "-129 does not fit in int8"},
		{"all 64 bits", Point{Type: "uint64"}, bridge.Uint(math.MaxUint64), "\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"least int64", Point{Type: "int64"}, bridge.Int(math.MinInt64), "\x80\x00\x00\x00\x00\x00\x00\x00"},
		{"int64 is not unsigned", Point{Type: "int64"}, bridge.Uint(1 << 63), "9223372036854775808 does not fit in int64"},
		{"float32 overflow", Point{Type: "float32"}, bridge.Float64(1e39), "1e+39 does not fit in float32"},
		{"float16 overflow", Point{Type: "float16"}, bridge.Int(65520), "65520 does not fit in float16"},
		{"bcd overflow", Point{Type: "bcd16"}, bridge.Int(10000), "10000 does not fit in bcd16"},
		{"bits", Point{Bits: "4-7"}, bridge.Int(10), "\x00\xa0"},
		{"bits overflow", Point{Bits: "4-7"}, bridge.Int(16), "16 does not fit in uint16"},
		{"bit", Point{Bit: at(15)}, bridge.Bool(true), "\x80\x00"},
		{"high byte", Point{Type: "int8", Byte: "high"}, bridge.Int(-2), "\xfe\x00"},
		{"bool from a number", Point{Bit: at(0)}, bridge.Int(2), "2 is neither true nor false"},
		{"enum by name", Point{Enum: map[int64]string{2: "cooling"}}, bridge.String("cooling"), "\x00\x02"},
		{"enum by number", Point{Enum: map[int64]string{2: "cooling"}}, bridge.Float64(2), "\x00\x02"},
		{"out of the enum", Point{Enum: map[int64]string{2: "cooling"}}, bridge.Int(3), "3 is not in the enum"},
		{"sentinel", Point{Type: "int16", Invalid: []Raw{{bits: 0x8000}}}, bridge.Int(-32768),
			"-32768 means to the device that there is no value"},
		{"range", Point{Range: &Range{[]bridge.Decimal{{}, {Coef: 27648}}, []bridge.Decimal{{}, {Coef: 10}}}}, bridge.Int(5),
			"\x36\x00"},
		{"UTF-16", Point{Type: "utf16", Length: 6}, bridge.String("a€"), "\x00a\x20\xac\x00\x00"},
		{"UTF-16, swapped", Point{Type: "utf16", Length: 4, Order: "BADC"}, bridge.String("a"), "a\x00\x00\x00"},
		{"UTF-16, too long", Point{Type: "utf16", Length: 4}, bridge.String("abc"), `"abc" is longer than 4 bytes`},
		{"registers in another order", Point{Type: "uint64", Order: "CDABGHEF"}, bridge.Uint(0x0102030405060708),
			"\x03\x04\x01\x02\x07\x08\x05\x06"},
		{"true_is", Point{Type: "bool", TrueIs: word(0xaa), FalseIs: word(0x55)}, bridge.Bool(true), "\x00\xaa"},
		{"false_is", Point{Type: "bool", TrueIs: word(0xaa), FalseIs: word(0x55)}, bridge.Bool(false), "\x00\x55"},
		{"sentinels", Point{Type: "int16", Invalid: []Raw{raw(t, "0x7ff0-0x7fff")}}, bridge.Int(0x7ff1),
			"32753 means to the device that there is no value"},
		{"text", Point{Type: "string", Length: 4}, bridge.String("ab"), "ab\x00\x00"},
		{"long text", Point{Type: "string", Length: 4}, bridge.String("abcde"), `"abcde" is longer than 4 bytes`},
		{"text for a number", Point{}, bridge.String("7"), "7 is not a number"},
	}
	for _, test := range tests {
		p := test.point
		p.Holding, p.Writable = at(0), &permit.Writable{}
		data, err := placed(t, p).Encode(test.value)
		got := string(data)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, test.want) || err == nil && got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
