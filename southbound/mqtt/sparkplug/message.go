package sparkplug

import (
	"errors"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/packed"
	"fieldbridge/southbound/mqtt/payload"
)

// message is a Sparkplug B payload (Sparkplug 3.0.0, section 6.4.1), as far
// as it is of use here.
type message struct {
	timestamp uint64 // ms since 1970, 0 if it does not say
	seq       uint64
	hasSeq    bool
	metrics   []metric
}

// metric is a value in a Sparkplug B payload. That it is historical is told
// by its time; that it is transient, not worth storing, is the cloud's to decide.
type metric struct {
	name      string
	alias     uint64
	hasAlias  bool
	timestamp uint64 // ms since 1970, 0 if it does not say
	datatype  uint64
	null      bool
	number    uint64 // bits of int_value, long_value, float_value, double_value or boolean_value
	kind      protowire.Number
	text      string // or bytes
}

// The fields of a metric that have a value.
const (
	metricInt     protowire.Number = 10
	metricLong    protowire.Number = 11
	metricFloat   protowire.Number = 12
	metricDouble  protowire.Number = 13
	metricBoolean protowire.Number = 14
	metricString  protowire.Number = 15
	// Their bytes are kept as the metric's text.
	metricBytes    protowire.Number = 16
	metricDataSet  protowire.Number = 17
	metricTemplate protowire.Number = 18
)

// The data types that are values of points (Sparkplug 3.0.0, section 6.4.16).
// Of the others, data sets, templates and arrays have several values; bytes,
// files and property sets are left out.
var types = typesOf(map[uint64]string{
	1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "uint8", 6: "uint16", 7: "uint32", 8: "uint64",
	9: "float32", 10: "float64", 11: "bool", 12: "string", 14: "string", 15: "string",
	13: "uint64", // a time, in ms since 1970
})

func typesOf(names map[uint64]string) map[uint64]payload.Type {
	types := make(map[uint64]payload.Type, len(names))
	for datatype, name := range names {
		types[datatype], _ = payload.LookupType(name)
	}
	return types
}

var errPayload = errors.New("not a Sparkplug B payload")

// fields calls yield for each field of a protobuf message, with its number, or
// its bytes.
func fields(b []byte, yield func(n protowire.Number, number uint64, bytes []byte) error) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errPayload
		}
		b = b[size:]
		var number uint64
		var bytes []byte
		switch typ {
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(b)
			number = uint64(v)
		case protowire.Fixed64Type:
			number, size = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(n, typ, b)
		}
		if size < 0 {
			return errPayload
		}
		b = b[size:]
		if err := yield(n, number, bytes); err != nil {
			return err
		}
	}
	return nil
}

// maxMetrics is how many values one payload may have.
const maxMetrics = 10000

// compressed is the uuid of a payload whose body is another one, compressed, as
// Eclipse Tahu and its like send.
const compressed = "SPBV1.0_COMPRESSED"

func parse(payload []byte) (message, error) {
	m, body, err := parsePlain(payload)
	if err != nil || body == nil {
		return m, err
	}
	if body, err = packed.Inflate(body); err != nil {
		return m, err
	}
	inner, _, err := parsePlain(body)
	if !inner.hasSeq {
		inner.seq, inner.hasSeq = m.seq, m.hasSeq
	}
	return inner, err
}

// parsePlain reads a payload, and returns the body if that is compressed.
func parsePlain(payload []byte) (m message, body []byte, err error) {
	var uuid string
	err = fields(payload, func(n protowire.Number, number uint64, bytes []byte) error {
		switch n {
		case 1:
			m.timestamp = number
		case 2:
			if len(m.metrics) == maxMetrics {
				return errPayload
			}
			one, err := parseMetric(bytes)
			m.metrics = append(m.metrics, one)
			return err
		case 3:
			m.seq, m.hasSeq = number, true
		case 4:
			uuid = string(bytes)
		case 5:
			body = bytes
		}
		return nil
	})
	if uuid != compressed {
		body = nil
	}
	return m, body, err
}

func parseMetric(b []byte) (metric, error) {
	var m metric
	err := fields(b, func(n protowire.Number, number uint64, bytes []byte) error {
		switch n {
		case 1:
			m.name = string(bytes)
		case 2:
			m.alias, m.hasAlias = number, true
		case 3:
			m.timestamp = number
		case 4:
			m.datatype = number
		case 7:
			m.null = number != 0
		case metricInt, metricLong, metricFloat, metricDouble, metricBoolean:
			m.kind, m.number = n, number
		case metricString, metricBytes, metricDataSet, metricTemplate:
			m.kind, m.text = n, string(bytes)
		}
		return nil
	})
	return m, err
}

// value returns the value of a metric of type t.
func (m *metric) value(t payload.Type) bridge.Value {
	switch {
	case m.null:
		return bridge.Bad(bridge.ReasonMissing)
	case t.Kind == payload.KindString && m.kind == metricString:
		return payload.Text(m.text)
	case t.Kind == payload.KindBool && m.kind == metricBoolean:
		return bridge.Bool(m.number != 0)
	case t.Kind == payload.KindFloat32 && m.kind == metricFloat:
		return bridge.Float32(math.Float32frombits(uint32(m.number)))
	case t.Kind == payload.KindFloat64 && m.kind == metricDouble:
		return bridge.Float64(math.Float64frombits(m.number))
	case m.kind != metricInt && m.kind != metricLong:
		return bridge.Bad(bridge.ReasonType)
	case t.Kind == payload.KindUint:
		if t.Bits < 64 && m.number>>t.Bits != 0 {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		return bridge.Uint(m.number)
	case t.Kind == payload.KindInt:
		// Two's complement: of the type's width, or of the field's.
		shift := 64 - t.Bits
		return bridge.Int(int64(m.number<<shift) >> shift)
	}
	return bridge.Bad(bridge.ReasonType)
}

// birth returns the number that ties a node's death to its birth.
func (m *message) birth() uint64 {
	for i := range m.metrics {
		if m.metrics[i].name == "bdSeq" {
			return m.metrics[i].number
		}
	}
	return 0
}

// control reports whether a metric is about the protocol rather than a value of
// the plant.
func control(name string) bool {
	return name == "bdSeq" || strings.HasPrefix(name, "Node Control/") || strings.HasPrefix(name, "Device Control/")
}

// rebirth is the payload that asks an edge node for its birth (Sparkplug 3.0.0,
// section 6.4.29): one metric, "Node Control/Rebirth", true.
func rebirth(ms int64) []byte {
	var m []byte
	m = protowire.AppendTag(m, 1, protowire.BytesType)
	m = protowire.AppendString(m, "Node Control/Rebirth")
	m = protowire.AppendTag(m, 3, protowire.VarintType)
	m = protowire.AppendVarint(m, uint64(ms))
	m = protowire.AppendTag(m, 4, protowire.VarintType)
	m = protowire.AppendVarint(m, 11)
	m = protowire.AppendTag(m, metricBoolean, protowire.VarintType)
	m = protowire.AppendVarint(m, 1)
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(ms))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}
