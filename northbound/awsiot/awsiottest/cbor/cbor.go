// Package cbor is as much of CBOR (RFC 8949) as AWS IoT speaks: what JSON has, and
// byte strings.
package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// Major types (RFC 8949, section 3.1).
const (
	unsigned byte = iota << 5
	negative
	bytesType
	textType
	arrayType
	mapType
	tagType
	simpleType
)

// deepest is how deep arrays and maps may be nested.
const deepest = 16

var errShort = errors.New("cbor: it ends too early")

// Marshal encodes a value: nil, bool, int, int64, float64, string, []byte, []any,
// or map[string]any, whose keys are sorted.
func Marshal(v any) ([]byte, error) { return appendValue(nil, v) }

func head(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendValue(b []byte, v any) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, simpleType|22), nil
	case bool:
		if v {
			return append(b, simpleType|21), nil
		}
		return append(b, simpleType|20), nil
	case int:
		return appendValue(b, int64(v))
	case int64:
		if v < 0 {
			return head(b, negative, uint64(-1-v)), nil
		}
		return head(b, unsigned, uint64(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, simpleType|27), math.Float64bits(v)), nil
	case string:
		return append(head(b, textType, uint64(len(v))), v...), nil
	case []byte:
		return append(head(b, bytesType, uint64(len(v))), v...), nil
	case []any:
		b = head(b, arrayType, uint64(len(v)))
		for _, e := range v {
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = head(b, mapType, uint64(len(v)))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = append(head(b, textType, uint64(len(k))), k...)
			if b, err = appendValue(b, v[k]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("cbor: %T cannot be encoded", v)
}

// Unmarshal decodes one value into what [Marshal] takes; whole numbers become
// int64. Lengths that are not given beforehand are not accepted.
func Unmarshal(data []byte) (any, error) {
	d := decoder{rest: data}
	v, err := d.value(0)
	if err == nil && len(d.rest) > 0 {
		err = fmt.Errorf("cbor: %d bytes after its end", len(d.rest))
	}
	return v, err
}

type decoder struct{ rest []byte }

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken, nil
}

// head reads the initial byte and its argument.
func (d *decoder) head() (major, info byte, n uint64, err error) {
	first, err := d.take(1)
	if err != nil {
		return 0, 0, 0, err
	}
	major, info = first[0]&0xe0, first[0]&0x1f
	switch {
	case info < 24:
		return major, info, uint64(info), nil
	case info > 27:
		return 0, 0, 0, fmt.Errorf("cbor: length of kind %d", info)
	}
	more, err := d.take(1 << (info - 24))
	for _, b := range more {
		n = n<<8 | uint64(b)
	}
	return major, info, n, err
}

func (d *decoder) value(depth int) (any, error) {
	major, info, n, err := d.head()
	if err != nil {
		return nil, err
	}
	if depth > deepest {
		return nil, errors.New("cbor: nested too deep")
	}
	switch major {
	case unsigned, negative:
		if n > math.MaxInt64 {
			return nil, errors.New("cbor: a number is too large")
		}
		if major == negative {
			return -1 - int64(n), nil
		}
		return int64(n), nil
	case bytesType:
		b, err := d.take(n)
		return slices.Clone(b), err
	case textType:
		b, err := d.take(n)
		if err == nil && !utf8.Valid(b) {
			err = errors.New("cbor: a text is not UTF-8")
		}
		return string(b), err
	case arrayType:
		return d.array(n, depth)
	case mapType:
		return d.object(n, depth)
	case tagType:
		return d.value(depth + 1)
	}
	return d.simple(info, n)
}

func (d *decoder) array(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort // each element has a byte at least
	}
	list := make([]any, 0, n)
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *decoder) object(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest)) {
		return nil, errShort
	}
	object := make(map[string]any, n)
	for range n {
		k, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, errors.New("cbor: the key of a map is no text")
		}
		if object[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (d *decoder) simple(info byte, n uint64) (any, error) {
	switch info {
	case 20, 21:
		return info == 21, nil
	case 22, 23:
		return nil, nil
	case 26:
		return float64(math.Float32frombits(uint32(n))), nil
	case 27:
		return math.Float64frombits(n), nil
	}
	return nil, fmt.Errorf("cbor: simple value %d", info)
}
