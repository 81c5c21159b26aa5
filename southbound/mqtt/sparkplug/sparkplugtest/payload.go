// Package sparkplugtest writes Sparkplug B payloads for tests.
package sparkplugtest

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of a metric that have a value (Sparkplug 3.0.0, section 6.4.1).
const (
	Int protowire.Number = iota + 10
	Long
	Float
	Double
	Boolean
	String
	Bytes
	DataSet
	Template
)

// Payload writes a payload of the time at; seq -1 is left out.
func Payload(at time.Time, seq int, metrics ...[]byte) string {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(at.UnixMilli()))
	for _, m := range metrics {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	if seq >= 0 {
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(seq))
	}
	return string(b)
}

// Metric writes a metric; name "" or alias 0 is left out.
func Metric(name string, alias, datatype int, value any) []byte {
	var b []byte
	if name != "" {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, name)
	}
	number := func(n protowire.Number, v uint64) {
		b = protowire.AppendTag(b, n, protowire.VarintType)
		b = protowire.AppendVarint(b, v)
	}
	if alias > 0 {
		number(2, uint64(alias))
	}
	if datatype > 0 {
		number(4, uint64(datatype))
	}
	switch v := value.(type) {
	case nil:
		number(7, 1)
	case int:
		number(Int, uint64(uint32(v)))
	case uint64:
		number(Long, v)
	case float32:
		b = protowire.AppendTag(b, Float, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(v))
	case float64:
		b = protowire.AppendTag(b, Double, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, math.Float64bits(v))
	case bool:
		number(Boolean, protowire.EncodeBool(v))
	case string:
		b = protowire.AppendTag(b, String, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	return b
}

// Fields adds fields with bytes.
func Fields(b []byte, n protowire.Number, parts ...[]byte) []byte {
	for _, p := range parts {
		b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), p)
	}
	return b
}

// Structured writes a metric whose value is a message or bytes.
func Structured(name string, alias, datatype int, field protowire.Number, value []byte) []byte {
	return Fields(Metric(name, alias, datatype, struct{}{}), field, value)
}

// Table writes a table of Int32, String and Boolean columns.
func Table(rows ...[]byte) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	b = Fields(b, 2, []byte("No"), []byte("Name"), []byte("On"))
	for _, datatype := range []uint64{3, 12, 11} {
		b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), datatype)
	}
	return Fields(b, 4, rows...)
}

// Row writes a row: an int, a text and a bool; nil is an element without value.
func Row(no *int32, name string, on bool) []byte {
	var first []byte
	if no != nil {
		first = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(uint32(*no)))
	}
	last := protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), protowire.EncodeBool(on))
	return Fields(nil, 1, first, Fields(nil, 6, []byte(name)), last)
}

// Members writes a template with members.
func Members(members ...[]byte) []byte {
	return Fields(Fields(nil, 2, members...), 4, []byte("Motor"))
}
