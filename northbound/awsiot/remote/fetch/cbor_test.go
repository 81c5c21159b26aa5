package fetch

import (
	"bytes"
	"strings"
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
)

// FuzzDecode: nothing that comes makes it panic, and what the stand-in's codec reads as
// a block is read as the same.
func FuzzDecode(f *testing.F) {
	for _, v := range []map[string]any{
		{"c": "t", "f": 0, "l": 3, "i": 700, "p": []byte("abc")},
		{"s": 3, "d": "text", "r": []any{map[string]any{"f": 0, "z": 7 << 20}, map[string]any{"f": 255, "z": 70000}}},
		{"o": "VersionMismatch", "m": "no", "code": "VersionMismatch", "message": "no", "x": []any{1.5, nil, true, -7}},
	} {
		data, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(strings.Repeat("\x81", 100)))
	f.Add([]byte("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decode(data)
		if err != nil {
			return
		}
		v, err := cbor.Unmarshal(data)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return // it takes less of what is passed over
		}
		if p, ok := m["p"].([]byte); ok && !bytes.Equal(p, a.payload) {
			t.Errorf("%x: payload %x", data, a.payload)
		}
		if i, ok := m["i"].(int64); ok && int(i) != a.block {
			t.Errorf("%x: block %d", data, a.block)
		}
	})
}
