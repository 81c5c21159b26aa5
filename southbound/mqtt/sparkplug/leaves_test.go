package sparkplug

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug/sparkplugtest"
)

// arrival is when the messages of tests come.
var arrival = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

// What writes metrics and their values.
var (
	met        = sparkplugtest.Metric
	structured = sparkplugtest.Structured
	members    = sparkplugtest.Members
	table      = sparkplugtest.Table
	row        = sparkplugtest.Row
)

// spark writes a payload of a second before: seq, then metrics.
func spark(seq int, metrics ...[]byte) string {
	return sparkplugtest.Payload(arrival.Add(-time.Second), seq, metrics...)
}

// A payload written out by hand from the protobuf definition in the
// specification: timestamp 1763887500123, one metric "t" of type 9 with the
// float 21.5, seq 7.
func TestParse(t *testing.T) {
	b, err := hex.DecodeString("08db968dffaa33" + "120a" + "0a0174" + "2009" + "650000ac41" + "1807")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(b)
	if err != nil || m.timestamp != 1763887500123 || m.seq != 7 || len(m.metrics) != 1 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if v := m.metrics[0].value(types[9]); m.metrics[0].name != "t" || v != bridge.Float32(21.5) {
		t.Errorf("got %+v", m.metrics[0])
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		datatype int
		value    any
		want     string
	}{
		{1, -5, "-5"}, {1, 0xfb, "-5"}, {2, -300, "-300"}, {3, math.MinInt32, "-2147483648"},
		{4, uint64(math.MaxUint64), "-1"}, {4, uint64(1) << 62, "4611686018427387904"},
		{5, 255, "255"}, {5, 256, "bad: out_of_range"}, {6, 65535, "65535"}, {7, -1, "4294967295"},
		{8, uint64(math.MaxUint64), "18446744073709551615"},
		{9, float32(0.1), "0.1"}, {9, float32(math.Inf(1)), "bad: not_a_number"}, {10, 0.1, "0.1"},
		{10, math.NaN(), "bad: not_a_number"}, {11, true, "true"},
		{12, "text", "text"}, {14, "text", "text"}, {15, "uuid", "uuid"}, {13, uint64(1763887500123), "1763887500123"},
		{3, nil, "bad: missing"},
		{3, "text", "bad: wrong_type"}, {12, 7, "bad: wrong_type"}, {11, 7, "bad: wrong_type"}, {9, 0.5, "bad: wrong_type"},
	} {
		m, err := parseMetric(met("x", 0, c.datatype, c.value))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.value(types[uint64(c.datatype)]).String(); got != c.want {
			t.Errorf("type %d, %v: got %s, want %s", c.datatype, c.value, got, c.want)
		}
	}
}

// Most examples of arrays are those of the specification, section 6.4.17.
func TestSeveralValues(t *testing.T) {
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
		{"boolean", 32, metricBytes, "0C00000034D0",
			"a_0=false a_1=false a_2=true a_3=true a_4=false a_5=true " +
				"a_6=false a_7=false a_8=true a_9=true a_10=false a_11=true"},
		{"string", 33, metricBytes, "41424300" + "00" + "68656c6c6f00", "a_0=ABC a_1= a_2=hello"},
		{"date time", 34, metricBytes, "C7D0908124010000", "a_0=1256304201927"},
		{"no elements", 28, metricBytes, "", ""},
		{"half an element", 28, metricBytes, "3400", "fault=not_sparkplug"},
		{"too few bits", 32, metricBytes, "0900000034", "fault=not_sparkplug"},
		{"no number of bits", 32, metricBytes, "0900", "fault=not_sparkplug"},
		{"not bytes", 28, metricString, "41", "fault=wrong_type"},
		{"bytes", 17, metricBytes, "41", ""},
		{"data set", 16, metricDataSet, hex.EncodeToString(table(row(new(int32(-7)), "x", true), row(nil, "", false))),
			"a_0_no=-7 a_0_name=x a_0_on=true a_1_no=bad: missing a_1_name= a_1_on=false"},
		{"data set without rows", 16, metricDataSet, hex.EncodeToString(table()), ""},
		{"wide row", 16, metricDataSet,
			hex.EncodeToString(table(sparkplugtest.Fields(row(new(int32(1)), "x", true), 1, nil))),
			"a_0_no=1 a_0_name=x a_0_on=true fault=not_sparkplug"},
		{"template", 19, metricTemplate,
			hex.EncodeToString(members(met("Speed", 0, 9, float32(2.5)), met("Run Time", 0, 7, 9),
				met("Gone", 0, 3, nil),
				structured("Winding", 0, 19, metricTemplate, members(met("T", 0, 3, -4))),
				structured("L", 0, 28, metricBytes, []byte{7, 0, 0, 0}))),
			"a_speed=2.5 a_run_time=9 a_gone=bad: missing a_winding_t=-4 a_l_0=7"},
		{"broken template", 19, metricTemplate, "12ff", "fault=not_sparkplug"},
	} {
		value, err := hex.DecodeString(c.value)
		if err != nil {
			t.Fatal(err)
		}
		n := &Node[string]{born: true}
		p, err := parse([]byte(spark(0, structured("a", 0, c.datatype, c.field, value))))
		if err != nil {
			t.Fatal(err)
		}
		all, f := n.readLocked("", p, arrival)
		var got []string
		for _, out := range all {
			for _, r := range out.Readings {
				got = append(got, bridge.PointName(r.Point)+"="+r.Value.String())
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
func TestBounds(t *testing.T) {
	deep := members(met("x", 0, 3, 1))
	for range 20 {
		deep = members(structured("t", 0, 19, metricTemplate, deep))
	}
	n := &Node[string]{born: true}
	for name, c := range map[string]struct {
		metric []byte
		fault  payload.Fault
		most   int
	}{
		"deep":    {structured("a", 0, 19, metricTemplate, deep), payload.FaultDeep, 0},
		"long":    {structured("a", 0, 26, metricBytes, make([]byte, 200_000)), payload.FaultPoints, maxMetrics},
		"strings": {structured("a", 0, 33, metricBytes, make([]byte, 200_000)), payload.FaultPoints, maxMetrics},
		"bits": {structured("a", 0, 32, metricBytes, append([]byte{0, 0, 1, 0}, make([]byte, 1<<17)...)),
			payload.FaultPoints, maxMetrics},
	} {
		p, err := parse([]byte(spark(0, c.metric)))
		if err != nil {
			t.Fatal(err)
		}
		all, f := n.readLocked("", p, arrival)
		count := 0
		for _, out := range all {
			count += len(out.Readings)
		}
		if f != c.fault || count > c.most {
			t.Errorf("%s: %d readings, fault %v", name, count, f)
		}
	}
}

// What births say is remembered within bounds, and forgotten with the next.
func TestLearned(t *testing.T) {
	nodes := NewNodes[string]()
	take := func(topic, body string) {
		t.Helper()
		to, ok := ParseTopic(topic)
		if !ok {
			t.Fatalf("%s is refused", topic)
		}
		nodes.Node(to).Take(to, topic, []byte(body), arrival)
	}
	want := func(n int64) {
		t.Helper()
		if got := nodes.learned.Load(); got != n {
			t.Errorf("%d names and aliases are remembered, want %d", got, n)
		}
	}
	birth := spark(0, met("a", 1, 3, 1), met("b", 2, 3, 1), met("c", 0, 3, 1))
	for range 3 {
		take("spBv1.0/plant/NBIRTH/n", birth)
		take("spBv1.0/plant/DBIRTH/n/d", spark(1, met("d", 3, 3, 1)))
		want(7)
	}
	nodes.learned.Store(maxLearned - 1)
	take("spBv1.0/plant/NBIRTH/m", birth)
	want(maxLearned)
}

// What asks for a birth is one metric, and true.
func TestRebirth(t *testing.T) {
	m, err := parse(rebirth(arrival.UnixMilli()))
	if err != nil || len(m.metrics) != 1 || m.timestamp != uint64(arrival.UnixMilli()) {
		t.Fatalf("got %+v, %v", m, err)
	}
	if one := m.metrics[0]; one.name != "Node Control/Rebirth" || one.value(types[11]) != bridge.Bool(true) {
		t.Errorf("got %+v", one)
	}
}

// Topics of messages are read, those of commands and states are not.
func TestParseTopic(t *testing.T) {
	for topic, want := range map[string]string{
		"spBv1.0/g/NBIRTH/n": "n g.n", "spBv1.0/g/DDATA/n/d": "n.d g.n.d",
		"spBv1.0/g/NDATA/n/d": "", "spBv1.0/g/DDATA/n": "",
		"spBv1.0/STATE/host": "", "spBv1.0/g/NCMD/n": "", "spAv1.0/g/NBIRTH/n": "", "spBv1.0/g/DDATA/n/d/e": "",
	} {
		got := ""
		if to, ok := ParseTopic(topic); ok {
			got = to.Name(false) + " " + to.Name(true)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", topic, got, want)
		}
	}
}
