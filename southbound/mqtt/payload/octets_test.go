package payload

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// Bytes in base64 or hex are decoded by place, type, order and bits.
func TestBytes(t *testing.T) {
	b := func(p Point, typ string) Point { p.Type = typ; return p }
	for _, c := range []struct {
		point     Point
		hex, want string
	}{
		{b(Point{At: 1}, "int16"), "00ff38", "p=-200"},
		{b(Point{At: 1, Order: "BA"}, "int16"), "0038ff", "p=-200"},
		{b(Point{}, "uint24"), "010203", "p=66051"},
		{b(Point{Order: "cba"}, "int24"), "feffff", "p=-2"},
		{b(Point{Order: "CDAB"}, "float32"), "000041ac", "p=21.5"},
		{b(Point{}, ""), "4035800000000000", "p=21.5"},
		{b(Point{}, ""), "7ff8000000000000", "p=bad: not_a_number fault=not_a_number"},
		{b(Point{At: 1, Bit: new(3)}, ""), "0008", "p=true"},
		{b(Point{At: 1, Bit: new(3)}, ""), "00f7", "p=false"},
		{b(Point{Bits: "4-11"}, ""), "0120", "p=18"},
		{b(Point{Bits: "0-11"}, "int64"), "1fff", "p=-1"},
		{b(Point{Bits: "0-3", Order: "BA"}, ""), "0500", "p=5"},
		{b(Point{At: 2, Length: 3}, "string"), "000041424344", "p=ABC"},
		{b(Point{At: 2}, "string"), "000041420043", "p=AB"},
		{b(Point{At: 1, Value: Value{Scale: decimal1(1, -2)}}, "uint16"), "000866", "p=21.5"},
		{b(Point{Value: Value{Enum: map[int64]string{1: "on"}}}, "uint8"), "01", "p=1"},
		{b(Point{Value: Value{Enum: map[int64]string{1: "on"}}}, "uint8"), "02", "p=bad: out_of_range fault=out_of_range"},
		{b(Point{At: 1}, "int16"), "00ff", "fault=missing"},
		{b(Point{At: 9}, "string"), "00ff", "fault=missing"},
	} {
		raw, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		for encoding, text := range map[string]string{"hex": c.hex, "base64": base64.StdEncoding.EncodeToString(raw),
			"": string(raw)} {
			p, s := c.point, Settings{}
			p.Encoding, p.Path = encoding, "d"
			payload := `{"d":"` + text + `"}`
			if encoding == "" {
				s.Format, p.Path, payload = Bytes, "", text
			}
			s.Points = Points{"p": p}
			if got := decode(t, s, payload); got != c.want {
				t.Errorf("%+v of %q in %s: got %s, want %s", c.point, encoding, c.hex, got, c.want)
			}
		}
	}
}

// Texts for bytes are taken as they come, and what is none is bad.
func TestBytesAsTheyComeInTexts(t *testing.T) {
	for _, c := range []struct{ encoding, text, want string }{
		{"hex", "0x01 02", "p=258"}, {"hex", "01:02", "p=258"}, {"hex", "01-02", "p=258"}, {"hex", "0102\\u0000", "p=258"},
		{"hex", "0", notType}, {"hex", "xy", notType}, {"base64", "AQI", "p=258"}, {"base64", "AQI=", "p=258"},
		{"base64", "_-8", "p=65519"}, {"base64", "/+8=", "p=65519"}, {"base64", "!", notType},
	} {
		s := Settings{Points: Points{"p": {Path: "d", Encoding: c.encoding, Value: Value{Type: "uint16"}}}}
		if got := decode(t, s, `{"d":"`+c.text+`"}`); got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.encoding, c.text, got, c.want)
		}
	}
	whole := Settings{Format: Bytes, Points: Points{"p": {Encoding: "hex", At: 1, Value: Value{Type: "uint8"}}}}
	if got := decode(t, whole, "0102"); got != "p=2" {
		t.Error(got)
	}
}

func TestBytesValidate(t *testing.T) {
	for _, c := range []struct {
		point Point
		key   string
	}{
		{Point{At: 1}, "at"}, {Point{Encoding: "base32"}, "encoding"}, {Point{Encoding: "hex", At: -1}, "at"},
		{Point{Encoding: "hex", Order: "ABC", Value: Value{Type: "int16"}}, "order"},
		{Point{Encoding: "hex", Order: "AA", Value: Value{Type: "int16"}}, "order"},
		{Point{Encoding: "hex", Bits: "5"}, "bits"}, {Point{Encoding: "hex", Bits: "5-2"}, "bits"},
		{Point{Encoding: "hex", Bit: new(64)}, "bit"}, {Point{Encoding: "hex", Bit: new(9), Order: "A"}, "order"},
		{Point{Encoding: "hex", Bit: new(1), Value: Value{Type: "float32"}}, "bit"},
		{Point{Encoding: "hex", Length: 3, Value: Value{Type: "int16"}}, "length"},
		{Point{Encoding: "hex", Value: Value{Decimal: ","}}, "decimal"},
	} {
		c.point.Path = "d"
		problems := Settings{Points: Points{"p": c.point}}.Validate()
		if len(problems) != 1 || problems[0].Path[len(problems[0].Path)-1] != c.key {
			t.Errorf("%+v: %+v, want one at %s", c.point, problems, c.key)
		}
	}
}

// FuzzBytes checks that no bytes make the decoder fall over.
func FuzzBytes(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, 1, "DCBA")
	rule := func(at int, order string) *Rule {
		s := Settings{Format: Bytes, Points: Points{"a": {At: at, Order: order, Value: Value{Type: "float32"}},
			"b": {At: at, Bits: "3-40"}, "c": {At: at, Value: Value{Type: "string"}}}}
		if len(s.Validate()) > 0 {
			return nil
		}
		r, err := Compile(s)
		if err != nil {
			f.Fatal(err)
		}
		return r
	}
	f.Fuzz(func(t *testing.T, payload []byte, at int, order string) {
		if r := rule(at, order); r != nil {
			if out, fault := r.Read("", payload, arrival); len(out.Readings) == 0 && fault == FaultNone {
				t.Fatal("no reading and no fault")
			}
		}
	})
}

func TestPermutation(t *testing.T) {
	for s, want := range map[string]bool{"ABCD": true, "DCBA": true, "BADC": true, "ABCC": false, "ABC": false,
		"ABCDA": false, "ABCE": false, "": false, "abcd": false} {
		if permutation(s, 4) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
