package packed

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// The examples of RFC 8949, appendix A, and what sensors send.
func TestCBOR(t *testing.T) {
	for in, want := range map[string]string{
		"00": "0", "17": "23", "1818": "24", "1903e8": "1000", "1bffffffffffffffff": "18446744073709551615",
		"c249010000000000000000": "18446744073709551616", "3bffffffffffffffff": "-18446744073709551616",
		"c349010000000000000000": "-18446744073709551617", "20": "-1", "3863": "-100",
		"3b7fffffffffffffff": "-9223372036854775808",
		"f90000":             "0", "f98000": "-0", "f93c00": "1", "fb3ff199999999999a": "1.1", "f97bff": "65504",
		"fa47c35000": "100000",
		"fa7f7fffff": "3.4028235e+38", "fb7e37e43c8800759c": "1e+300", "f90001": "5.9604645e-08", "f9c400": "-4",
		"f97c00": "Infinity", "f97e00": "NaN", "f9fc00": "-Infinity", "f4": "false", "f5": "true", "f6": "null", "f7": "null",
		"f0": "null", "f8ff": "null", "c11a514b67b0": "1363896240",
		"c074323031332d30332d32315432303a30343a30305a": `"2013-03-21T20:04:00Z"`,
		"4401020304": `"AQIDBA=="`, "60": `""`, "62225c": `"\"\\"`, "62c3bc": `"ü"`, "80": "[]", "83010203": "[1,2,3]",
		"a0": "{}", "a201020304": `{"1":2,"3":4}`, "a12002": `{"-1":2}`,
		"5f42010243030405ff": `"AQIDBAU="`, "9f018202039f0405ffff": "[1,[2,3],[4,5]]",
		"bf6346756ef563416d7421ff":   `{"Fun":true,"Amt":-2}`,
		"7f657374726561646d696e67ff": `"streaming"`, "c48221196ab3": "27315e-2", "a16174f94d60": `{"t":21.5}`,
		"6101": `"\u0001"`,
		"":     "", "18": "", "1c": "", "ff": "", "5f": "", "5f01ff": "", "9f": "", "a1": "", "a180": "", "62ff": "",
		"0000": "", "fe": "",
		"c2": "", "c201": "", "c4": "", "c48201": "", "df": "", "1f": "", "9bffffffffffffffff": "", "5bffffffffffffffff": "",
		strings.Repeat("81", 65) + "00": "",
		strings.Repeat("81", 64) + "00": strings.Repeat("[", 64) + "0" + strings.Repeat("]", 64),
	} {
		check(t, CBOR, in, want)
	}
}

func TestMessagePack(t *testing.T) {
	for in, want := range map[string]string{
		"00": "0", "7f": "127", "ff": "-1", "e0": "-32", "cc80": "128", "cdffff": "65535", "ceffffffff": "4294967295",
		"cfffffffffffffffff": "18446744073709551615", "d080": "-128", "d1ff00": "-256", "d2ffffffff": "-1",
		"d3ffffffffffffffff": "-1", "c0": "null", "c2": "false", "c3": "true", "ca41ac0000": "21.5",
		"cb4035800000000000": "21.5",
		"ca7fc00000":         "NaN", "a161": `"a"`, "d90161": `"a"`, "da000161": `"a"`, "db0000000161": `"a"`,
		"c40201ff": `"Af8="`,
		"c50001ff": `"/w=="`, "c600000001ff": `"/w=="`, "9201a162": `[1,"b"]`, "dc000101": "[1]", "dd0000000101": "[1]",
		"81a174cb4035800000000000": `{"t":21.5}`, "810102": `{"1":2}`, "de0001a16101": `{"a":1}`,
		"df00000001a16101": `{"a":1}`,
		"81cc8001":         `{"128":1}`, "81ff01": `{"-1":1}`, "d6ff5f9f1000": "1604259840",
		"d7ff773594005f9f1000":           "1604259840.500000000",
		"c70cff1dcd6500000000005f9f1000": "1604259840.500000000", "d40105": `"BQ=="`, "c7020501ff": `"Af8="`, "80": "{}",
		"90": "[]",
		"":   "", "c1": "", "cc": "", "81a1": "", "8190": "", "81c001": "", "dfffffffff": "", "ddffffffff": "",
		"dbffffffff61": "",
		"0000":         "", "c8": "", "d6ff": "", strings.Repeat("91", 65) + "00": "",
	} {
		check(t, MessagePack, in, want)
	}
}

func check(t *testing.T, read func([]byte) ([]byte, error), in, want string) {
	t.Helper()
	b, err := hex.DecodeString(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(b)
	if err != nil {
		got = nil
	}
	if string(got) != want && (want != "" || err == nil) {
		t.Errorf("%.40s: got %.80s, %v, want %.80s", in, got, err, want)
	}
}

func gzipped(t testing.TB, text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInflate(t *testing.T) {
	text := `{"t":21.5}`
	for level := range 10 {
		var b bytes.Buffer
		w, err := zlib.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		if got, err := Inflate(b.Bytes()); !CompressedJSON(b.Bytes()) || err != nil || string(got) != text {
			t.Errorf("zlib, level %d: %x: %s, %v", level, b.Bytes()[:2], got, err)
		}
	}
	if got, err := Inflate(gzipped(t, text)); !Compressed(gzipped(t, text)) || err != nil || string(got) != text {
		t.Errorf("gzip: %s, %v", got, err)
	}
	for _, plain := range []string{"", "x", "x^1", "xyz", "21.5", `{"t":1}`, "\x1f\x8b"} {
		if Compressed([]byte(plain)) {
			t.Errorf("%q is taken for compressed", plain)
		}
	}
	for _, b := range [][]byte{gzipped(t, text)[:12], {0x78, 0x9c, 1}, {}} {
		if _, err := Inflate(b); err == nil || errors.Is(err, ErrLarge) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// Who sends little makes little work, and nobody makes more than 4 MiB.
func TestInflateIsBounded(t *testing.T) {
	for size, ok := range map[int]bool{60 << 10: true, 1 << 20: false, 100 << 20: false} {
		part := 30 << 10
		if size%(1<<20) == 0 {
			part = 1 << 20
		}
		b := bytes.Repeat(gzipped(t, strings.Repeat("a", part)), size/part) // parts of gzip are one
		text, err := Inflate(b)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrLarge) {
			t.Errorf("%d bytes of %d: %v", size, len(b), err)
		}
		if len(text) > most+1 || !ok && len(text) > least+perByte*len(b)+1 {
			t.Errorf("%d bytes came of %d", len(text), len(b))
		}
	}
}

// FuzzPacked checks that whatever is read is JSON, but for the words for numbers
// that are none, and not many times as long as what it was.
func FuzzPacked(f *testing.F) {
	for _, s := range []string{"a16174f94d60", "81a174cb4035800000000000", "bf6346756ef563416d7421ff", "c48221196ab3",
		"d6ff5f9f1000"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, read := range map[string]func([]byte) ([]byte, error){"cbor": CBOR, "msgpack": MessagePack} {
			text, err := read(b)
			if err != nil {
				continue
			}
			if !json.Valid(text) && !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
				t.Fatalf("%s: %q", name, text)
			}
			if len(text) > 160*len(b) {
				t.Fatalf("%s: %d bytes of %d", name, len(text), len(b))
			}
		}
		if text, err := Inflate(b); err == nil && len(text) > least+perByte*len(b) {
			t.Fatalf("inflated: %d bytes of %d", len(text), len(b))
		}
	})
}
