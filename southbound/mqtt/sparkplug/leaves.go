package sparkplug

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/southbound/mqtt/payload"
)

// The data types that have several values (Sparkplug 3.0.0, section 6.4.16).
// Their values are named by where they are, as those of JSON by points: all:
// METRIC_MEMBER, METRIC_INDEX, METRIC_ROW_COLUMN.
const (
	typeString        = 12
	typeDataSet       = 16
	typeTemplate      = 19
	typeFirstArray    = 22 // of the basic type 1
	typeFloatArray    = 30
	typeDoubleArray   = 31
	typeBooleanArray  = 32
	typeStringArray   = 33
	typeDateTimeArray = 34
)

// maxColumns is how many columns of a data set are read.
const maxColumns = 1000

// maxNesting is how deep templates may be in one another.
const maxNesting = 8

// arrayTypes are the types of the elements of arrays with elements of a fixed
// width, and that in bytes.
var arrayTypes = map[uint64]struct {
	element uint64
	width   int
	kind    protowire.Number
}{
	22: {1, 1, metricInt}, 23: {2, 2, metricInt}, 24: {3, 4, metricInt}, 25: {4, 8, metricLong},
	26: {5, 1, metricInt}, 27: {6, 2, metricInt}, 28: {7, 4, metricInt}, 29: {8, 8, metricLong},
	typeFloatArray: {9, 4, metricFloat}, typeDoubleArray: {10, 8, metricDouble}, typeDateTimeArray: {13, 8, metricLong},
}

// several reports whether a type has several values.
func several(datatype uint64) bool {
	return datatype == typeDataSet || datatype == typeTemplate ||
		datatype >= typeFirstArray && datatype <= typeDateTimeArray
}

// leaves are the values in a message, each with its name and type. There are
// maxMetrics at most.
type leaves struct {
	all   []metric
	fault payload.Fault
}

// add adds a metric's values; datatype is its type.
func (l *leaves) add(m metric, datatype uint64, depth int) {
	switch {
	case len(l.all) >= maxMetrics:
		l.fault = payload.FaultPoints
	case !several(datatype):
		m.datatype = datatype
		l.all = append(l.all, m)
	case m.null:
		// There is nothing to name.
	case depth >= maxNesting:
		l.fault = payload.FaultDeep
	case datatype == typeTemplate && m.kind == metricTemplate:
		l.template(m, depth)
	case datatype == typeDataSet && m.kind == metricDataSet:
		l.dataSet(m)
	case datatype >= typeFirstArray && m.kind == metricBytes:
		l.array(m, datatype)
	default:
		l.fault = payload.FaultType
	}
}

// leaf adds a value of a metric, called as it is in there.
func (l *leaves) leaf(of *metric, name string, value metric, datatype uint64, depth int) {
	value.name = of.name + "/" + name
	if value.timestamp == 0 {
		value.timestamp = of.timestamp
	}
	l.add(value, datatype, depth)
}

// template adds the members of a template (section 6.4.15). Its definition has
// no values, and its parameters are not readings.
func (l *leaves) template(m metric, depth int) {
	err := fields([]byte(m.text), func(n protowire.Number, _ uint64, b []byte) error {
		if n != 2 {
			return nil
		}
		member, err := parseMetric(b)
		if err != nil || member.name == "" {
			return err
		}
		if member.datatype == 0 && member.kind == metricTemplate {
			member.datatype = typeTemplate
		}
		l.leaf(&m, member.name, member, member.datatype, depth+1)
		return nil
	})
	if err != nil {
		l.fault = payload.FaultSparkplug
	}
}

// dataSet adds the elements of a table (section 6.4.11).
func (l *leaves) dataSet(m metric) {
	var columns []string
	var types []uint64
	var rows [][]byte
	err := fields([]byte(m.text), func(n protowire.Number, number uint64, b []byte) error {
		switch {
		case n == 2 && len(columns) < maxColumns:
			columns = append(columns, string(b))
		case n == 3 && b != nil: // packed
			for len(b) > 0 && len(types) < maxColumns {
				v, size := protowire.ConsumeVarint(b)
				if size < 0 {
					return errPayload
				}
				types, b = append(types, v), b[size:]
			}
		case n == 3 && len(types) < maxColumns:
			types = append(types, number)
		case n == 4:
			rows = append(rows, b)
		}
		return nil
	})
	for i := 0; i < len(rows) && err == nil && l.fault == payload.FaultNone; i++ {
		err = l.row(m, i, columns, types, rows[i])
	}
	if err != nil {
		l.fault = payload.FaultSparkplug
	}
}

// row adds the elements of a row.
func (l *leaves) row(m metric, row int, columns []string, types []uint64, b []byte) error {
	column := 0
	return fields(b, func(n protowire.Number, _ uint64, b []byte) error {
		if n != 1 {
			return nil
		}
		if column >= len(columns) || column >= len(types) {
			return errPayload
		}
		value := metric{null: true} // an element without a value
		err := fields(b, func(n protowire.Number, number uint64, b []byte) error {
			if n >= 1 && n <= 6 { // as in a metric, but numbered from 1
				value = metric{kind: n + metricInt - 1, number: number, text: string(b)}
			}
			return nil
		})
		l.leaf(&m, strconv.Itoa(row)+"/"+columns[column], value, types[column], maxNesting)
		column++
		return err
	})
}

// array adds the elements of an array (section 6.4.17): little-endian, booleans
// as bits after their number, strings that end with a zero byte.
func (l *leaves) array(m metric, datatype uint64) {
	b := []byte(m.text)
	index := 0
	element := func(value metric, datatype uint64) {
		l.leaf(&m, strconv.Itoa(index), value, datatype, maxNesting)
		index++
	}
	switch datatype {
	case typeBooleanArray:
		if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > 8*uint64(len(b)-4) {
			l.fault = payload.FaultSparkplug
			return
		}
		for i := range int(binary.LittleEndian.Uint32(b)) {
			if l.fault != payload.FaultNone {
				return
			}
			element(metric{kind: metricBoolean, number: uint64(b[4+i/8] >> (7 - i%8) & 1)}, 11)
		}
	case typeStringArray:
		for len(b) > 0 && l.fault == payload.FaultNone {
			text, rest, _ := bytes.Cut(b, []byte{0})
			element(metric{kind: metricString, text: string(text)}, typeString)
			b = rest
		}
	default:
		of := arrayTypes[datatype]
		if len(b)%of.width != 0 {
			l.fault = payload.FaultSparkplug
			return
		}
		for ; len(b) > 0 && l.fault == payload.FaultNone; b = b[of.width:] {
			var word [8]byte
			copy(word[:], b[:of.width])
			element(metric{kind: of.kind, number: binary.LittleEndian.Uint64(word[:])}, of.element)
		}
	}
}
