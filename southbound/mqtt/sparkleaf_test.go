package mqtt

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// bytesField writes a field with bytes.
func bytesField(b []byte, n protowire.Number, parts ...[]byte) []byte {
	for _, p := range parts {
		b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), p)
	}
	return b
}

// structured writes a metric whose value is a message or bytes.
func structured(name string, alias, datatype int, field protowire.Number, value []byte) []byte {
	return bytesField(met(name, alias, datatype, struct{}{}), field, value)
}

// dataSet writes a table of Int32, String and Boolean columns.
func dataSet(rows ...[]byte) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	b = bytesField(b, 2, []byte("No"), []byte("Name"), []byte("On"))
	for _, datatype := range []uint64{3, 12, 11} {
		b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), datatype)
	}
	return bytesField(b, 4, rows...)
}

// row writes a row: an int, a text and a bool; nil is an element without value.
func row(no *int32, name string, on bool) []byte {
	var first []byte
	if no != nil {
		first = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(uint32(*no)))
	}
	return bytesField(nil, 1, first, bytesField(nil, 6, []byte(name)), protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), protowire.EncodeBool(on)))
}

// template writes a template with members.
func template1(members ...[]byte) []byte {
	return bytesField(bytesField(nil, 2, members...), 4, []byte("Motor"))
}

// Most examples of arrays are those of the specification, section 6.4.17.
func TestSparkplugSeveralValues(t *testing.T) {
	for _, c := range []struct {
		name     string
		datatype int
		field    protowire.Number
		value    string // in hexadecimal
		want     string
	}{
		{"int8", 22, metricBytes, "EF7B", "a_0=-17 a_1=123"},
		{"int16", 23, metricBytes, "D08A307D", "a_0=-30000 a_1=32048"},
		{"int32", 24, metricBytes, "000000807FFFFF7F", "a_0=-2147483648 a_1=2147483519"},
		{"int64", 25, metricBytes, "FFFFFFFFFFFFFFFF", "a_0=-1"},
		{"uint8", 26, metricBytes, "17FA", "a_0=23 a_1=250"},
		{"uint16", 27, metricBytes, "1E00CCD8", "a_0=30 a_1=55500"},
		{"uint32", 28, metricBytes, "34000000F01BB0FF", "a_0=52 a_1=4289731568"},
		{"uint64", 29, metricBytes, "FFFFFFFFFFFFFFFF", "a_0=18446744073709551615"},
		{"float", 30, metricBytes, "0000AC410000C07F", "a_0=21.5 a_1=bad: not_a_number fault=not_a_number"},
		{"double", 31, metricBytes, "0000000000803540", "a_0=21.5"},
		{"boolean", 32, metricBytes, "0C00000034D0", "a_0=false a_1=false a_2=true a_3=true a_4=false a_5=true a_6=false a_7=false a_8=true a_9=true a_10=false a_11=true"},
		{"string", 33, metricBytes, "41424300" + "00" + "68656c6c6f00", "a_0=ABC a_1= a_2=hello"},
		{"date time", 34, metricBytes, "C7D0908124010000", "a_0=1256304201927"},
		{"no elements", 28, metricBytes, "", ""},
		{"half an element", 28, metricBytes, "3400", "fault=not_sparkplug"},
		{"too few bits", 32, metricBytes, "0900000034", "fault=not_sparkplug"},
		{"no number of bits", 32, metricBytes, "0900", "fault=not_sparkplug"},
		{"not bytes", 28, metricString, "41", "fault=wrong_type"},
		{"bytes", 17, metricBytes, "41", ""},
		{"data set", 16, metricDataSet, hex.EncodeToString(dataSet(row(new(int32(-7)), "x", true), row(nil, "", false))),
			"a_0_no=-7 a_0_name=x a_0_on=true a_1_no=bad: missing a_1_name= a_1_on=false"},
		{"data set without rows", 16, metricDataSet, hex.EncodeToString(dataSet()), ""},
		{"wide row", 16, metricDataSet, hex.EncodeToString(dataSet(bytesField(row(new(int32(1)), "x", true), 1, nil))), "a_0_no=1 a_0_name=x a_0_on=true fault=not_sparkplug"},
		{"template", 19, metricTemplate, hex.EncodeToString(template1(met("Speed", 0, 9, float32(2.5)), met("Run Time", 0, 7, 9), met("Gone", 0, 3, nil),
			structured("Winding", 0, 19, metricTemplate, template1(met("T", 0, 3, -4))), structured("L", 0, 28, metricBytes, []byte{7, 0, 0, 0}))),
			"a_speed=2.5 a_run_time=9 a_gone=bad: missing a_winding_t=-4 a_l_0=7"},
		{"broken template", 19, metricTemplate, "12ff", "fault=not_sparkplug"},
	} {
		value, err := hex.DecodeString(c.value)
		if err != nil {
			t.Fatal(err)
		}
		n := &sparkNode{born: true}
		p, err := parseSparkplug([]byte(spark(0, structured("a", 0, c.datatype, c.field, value))))
		if err != nil {
			t.Fatal(err)
		}
		all, f := n.readLocked("", p, message{at: arrival})
		var got []string
		for _, out := range all {
			for _, r := range out.Readings {
				got = append(got, r.Point+"="+r.Value.String())
			}
		}
		if f != payload.FaultNone {
			got = append(got, "fault="+f.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// Templates in templates end somewhere, and large arrays too.
func TestSparkplugBounds(t *testing.T) {
	deep := template1(met("x", 0, 3, 1))
	for range 20 {
		deep = template1(structured("t", 0, 19, metricTemplate, deep))
	}
	n := &sparkNode{born: true}
	for name, c := range map[string]struct {
		metric []byte
		fault  payload.Fault
		most   int
	}{
		"deep":    {structured("a", 0, 19, metricTemplate, deep), payload.FaultDeep, 0},
		"long":    {structured("a", 0, 26, metricBytes, make([]byte, 200_000)), payload.FaultPoints, maxMetrics},
		"strings": {structured("a", 0, 33, metricBytes, make([]byte, 200_000)), payload.FaultPoints, maxMetrics},
		"bits":    {structured("a", 0, 32, metricBytes, append([]byte{0, 0, 1, 0}, make([]byte, 1<<17)...)), payload.FaultPoints, maxMetrics},
	} {
		p, err := parseSparkplug([]byte(spark(0, c.metric)))
		if err != nil {
			t.Fatal(err)
		}
		all, f := n.readLocked("", p, message{at: arrival})
		count := 0
		for _, out := range all {
			count += len(out.Readings)
		}
		if f != c.fault || count > c.most {
			t.Errorf("%s: %d readings, fault %v", name, count, f)
		}
	}
}

// Data names metrics by alias and without types, as the birth said, also those
// that have several values, and those that have none.
func TestSparkplugSeveralByAlias(t *testing.T) {
	f := newSparkFeed(t, "spBv1.0/plant/#", Options{})
	motor := template1(met("Speed", 0, 9, float32(2.5)))
	f.hear("spBv1.0/plant/NBIRTH/n", spark(0, structured("Levels", 1, 28, metricBytes, []byte{7, 0, 0, 0}), structured("Motor", 2, 19, metricTemplate, motor),
		structured("Photo", 3, 18, metricBytes, []byte{1, 2, 3}), structured("Table", 4, 16, metricDataSet, dataSet(row(new(int32(1)), "x", true))), met("Plain", 5, 3, 1)))
	same(t, "birth", f.said(), []string{"n.levels_0=7", "n.motor_speed=2.5", "n.table_0_no=1", "n.table_0_name=x", "n.table_0_on=true", "n.plain=1"})
	f.hear("spBv1.0/plant/NDATA/n", spark(1, structured("", 1, 0, metricBytes, []byte{8, 0, 0, 0}), structured("", 2, 0, metricTemplate, template1(met("Speed", 0, 0, float32(3)))),
		structured("", 3, 0, metricBytes, []byte{1}), structured("", 4, 0, metricDataSet, dataSet(row(new(int32(2)), "y", false))), met("", 5, 0, nil)))
	same(t, "data", f.said(), []string{"n.levels_0=8", "n.motor_speed=3", "n.table_0_no=2", "n.table_0_name=y", "n.table_0_on=false", "n.plain=bad: missing"})
	f.hear("spBv1.0/plant/NDATA/n", spark(2, met("", 5, 0, "no number")))
	same(t, "a wrong value", f.said(), []string{"n.plain=bad: wrong_type"})
	if len(f.asked) > 0 {
		t.Errorf("asked for a birth, which would not help: %v", f.asked)
	}
	f.now = f.now.Add(time.Minute)
	f.hear("spBv1.0/plant/NDATA/n", spark(3, met("Other", 0, 0, 7)))
	if len(f.asked) != 1 {
		t.Error("not asked for the type of a metric that no birth named")
	}
	counts := make(map[string]float64)
	f.Observe(func(m bridge.Metric) {
		if m.Name == "fieldbridge_mqtt_bad_payloads_total" {
			counts[m.Labels[3]] = m.Value
		}
	})
	same(t, "faults", counts, map[string]float64{"not_a_value": 1, "wrong_type": 1, "unknown_alias": 1})
}

// What births say is remembered within bounds, and forgotten with the next.
func TestSparkplugLearned(t *testing.T) {
	f := newSparkFeed(t, "spBv1.0/plant/#", Options{})
	birth := spark(0, met("a", 1, 3, 1), met("b", 2, 3, 1), met("c", 0, 3, 1))
	for range 3 {
		f.hear("spBv1.0/plant/NBIRTH/n", birth)
		f.hear("spBv1.0/plant/DBIRTH/n/d", spark(1, met("d", 3, 3, 1)))
		same(t, "names and aliases", f.router.learned.Load(), int64(7))
	}
	f.router.learned.Store(maxLearned - 1)
	f.hear("spBv1.0/plant/NBIRTH/m", birth)
	same(t, "names and aliases", f.router.learned.Load(), int64(maxLearned))
}
