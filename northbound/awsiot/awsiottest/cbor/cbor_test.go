package cbor

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVectors: the examples of RFC 8949, appendix A, that belong to what is spoken.
func TestVectors(t *testing.T) {
	for text, want := range map[string]any{
		"00": int64(0), "17": int64(23), "1818": int64(24), "1903e8": int64(1000), "1a000f4240": int64(1000000),
		"1b000000e8d4a51000": int64(1000000000000), "20": int64(-1), "3903e7": int64(-1000), "f4": false, "f5": true,
		"f6": nil, "fb3ff199999999999a": 1.1, "60": "", "6161": "a", "62c3bc": "ü", "4401020304": []byte{1, 2, 3, 4},
		"80": []any{}, "83010203": []any{int64(1), int64(2), int64(3)},
		"a26161016162820203": map[string]any{"a": int64(1), "b": []any{int64(2), int64(3)}},
		"fb7ff0000000000000": math.Inf(1),
	} {
		data, _ := hex.DecodeString(text)
		got, err := Unmarshal(data)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
		if back, err := Marshal(want); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%v becomes %x, %v; want %s", want, back, err, text)
		}
	}
	for _, text := range []string{"", "18", "62ff", "62fffe", "5f4101ff", "9bffffffffffffffff", "a1016161", "0000",
		"1bffffffffffffffff", "e0", "818181818181818181818181818181818181818100"} {
		data, _ := hex.DecodeString(text)
		if v, err := Unmarshal(data); err == nil {
			t.Errorf("%s is read as %v", text, v)
		}
	}
}

// FuzzUnmarshal: what is read can be written, and is read as the same again.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{"a26161016162820203", "fb3ff199999999999a", "c074323031", "9f01ff", "fa47c35000"} {
		data, _ := hex.DecodeString(s)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Unmarshal(data)
		if err != nil {
			return
		}
		once, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unmarshal(once)
		if err != nil {
			t.Fatalf("%x: %v", once, err)
		}
		if twice, err := Marshal(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x became %x (%v)", once, twice, err)
		}
	})
}
