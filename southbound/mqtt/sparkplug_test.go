package mqtt

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// spark writes a payload: seq, then metrics.
func spark(seq int, metrics ...[]byte) string {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(arrival.Add(-time.Second).UnixMilli()))
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

// met writes a metric; name "" or alias 0 is left out.
func met(name string, alias, datatype int, value any) []byte {
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
		number(metricInt, uint64(uint32(v)))
	case uint64:
		number(metricLong, v)
	case float32:
		b = protowire.AppendTag(b, metricFloat, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(v))
	case float64:
		b = protowire.AppendTag(b, metricDouble, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, math.Float64bits(v))
	case bool:
		number(metricBoolean, protowire.EncodeBool(v))
	case string:
		b = protowire.AppendTag(b, metricString, protowire.BytesType)
		b = protowire.AppendString(b, v)
	}
	return b
}

// A payload written out by hand from the protobuf definition in the
// specification: timestamp 1763887500123, one metric "t" of type 9 with the
// float 21.5, seq 7.
func TestParseSparkplug(t *testing.T) {
	b, err := hex.DecodeString("08db968dffaa33" + "120a" + "0a0174" + "2009" + "650000ac41" + "1807")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseSparkplug(b)
	if err != nil || m.timestamp != 1763887500123 || m.seq != 7 || len(m.metrics) != 1 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if v := m.metrics[0].value(sparkTypes[9]); m.metrics[0].name != "t" || v != bridge.Float32(21.5) {
		t.Errorf("got %+v", m.metrics[0])
	}
}

func TestSparkplugValues(t *testing.T) {
	for _, c := range []struct {
		datatype int
		value    any
		want     string
	}{
		{1, -5, "-5"}, {1, 0xfb, "-5"}, {2, -300, "-300"}, {3, math.MinInt32, "-2147483648"}, {4, uint64(math.MaxUint64), "-1"}, {4, uint64(1) << 62, "4611686018427387904"},
		{5, 255, "255"}, {5, 256, "bad: out_of_range"}, {6, 65535, "65535"}, {7, -1, "4294967295"}, {8, uint64(math.MaxUint64), "18446744073709551615"},
		{9, float32(0.1), "0.1"}, {9, float32(math.Inf(1)), "bad: not_a_number"}, {10, 0.1, "0.1"}, {10, math.NaN(), "bad: not_a_number"}, {11, true, "true"},
		{12, "text", "text"}, {14, "text", "text"}, {15, "uuid", "uuid"}, {13, uint64(1763887500123), "1763887500123"}, {3, nil, "bad: missing"},
		{3, "text", "bad: wrong_type"}, {12, 7, "bad: wrong_type"}, {11, 7, "bad: wrong_type"}, {9, 0.5, "bad: wrong_type"},
	} {
		m, err := parseMetric(met("x", 0, c.datatype, c.value))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.value(sparkTypes[uint64(c.datatype)]).String(); got != c.want {
			t.Errorf("type %d, %v: got %s, want %s", c.datatype, c.value, got, c.want)
		}
	}
}

// sparkFeed gives Sparkplug messages to a source and collects what it asks for.
type sparkFeed struct {
	*feedOne
	asked []string
}

func newSparkFeed(t *testing.T, topic string, o Options) *sparkFeed {
	f := &sparkFeed{feedOne: offline(t, o, sensor("tahu", Sensor{Topic: topic, Format: payload.Sparkplug}))}
	f.router.publish = func(topic string, payload []byte) {
		m, err := parseSparkplug(payload)
		if err != nil || len(m.metrics) != 1 || m.metrics[0].name != "Node Control/Rebirth" || m.metrics[0].value(sparkTypes[11]) != bridge.Bool(true) {
			t.Errorf("asks for %x", payload)
		}
		f.asked = append(f.asked, topic)
	}
	return f
}

// said returns what was emitted since it was called last.
func (f *sparkFeed) said() []string {
	defer func() { f.r.batches = nil }()
	return values(f.r.batches)
}

func TestSparkplug(t *testing.T) {
	var catalogue bridge.Catalogue
	f := newSparkFeed(t, "spBv1.0/plant/+/#", Options{Catalogue: &catalogue})
	f.hear("spBv1.0/plant/NBIRTH/edge", spark(0, met("bdSeq", 0, 8, uint64(3)), met("Node Control/Rebirth", 0, 11, false), met("Uptime", 1, 7, 12)))
	f.hear("spBv1.0/plant/DBIRTH/edge/Press 1", spark(1, met("Outputs/Valve", 2, 11, true), met("Temp", 3, 9, float32(21.5)), met("Recipe", 4, 16, nil)))
	same(t, "births", f.said(), []string{"edge.uptime=12", "edge.Press_1.outputs_valve=true", "edge.Press_1.temp=21.5"})
	f.hear("spBv1.0/plant/DDATA/edge/Press 1", spark(2, met("", 3, 0, float32(22)), met("", 2, 0, false)))
	f.hear("spBv1.0/plant/NDATA/edge", spark(3, met("", 1, 0, 13)))
	same(t, "data", f.said(), []string{"edge.Press_1.temp=22", "edge.Press_1.outputs_valve=false", "edge.uptime=13"})
	devices, _, _ := catalogue.Snapshot()
	if len(devices) != 2 || devices[1].Device != "edge.Press_1" && devices[0].Device != "edge.Press_1" {
		t.Errorf("catalogue: %v", devices)
	}
	for _, d := range devices {
		if i := slices.IndexFunc(d.Points, func(p bridge.PointInfo) bool { return p.Name == "temp" }); i >= 0 && d.Points[i].Type != "float32" {
			t.Errorf("type of temp is %s", d.Points[i].Type)
		}
	}
	f.hear("spBv1.0/plant/DDEATH/edge/Press 1", spark(4))
	same(t, "death of a device", f.said(), []string{"edge.Press_1.outputs_valve=bad: offline", "edge.Press_1.temp=bad: offline"})
	f.hear("spBv1.0/plant/NDEATH/edge", spark(-1, met("bdSeq", 0, 8, uint64(2))))
	same(t, "a late last will", f.said(), []string(nil))
	f.hear("spBv1.0/plant/NDEATH/edge", spark(-1, met("bdSeq", 0, 8, uint64(3))))
	same(t, "death of the node", f.said(), []string{"edge.uptime=bad: offline", "edge.Press_1.outputs_valve=bad: offline", "edge.Press_1.temp=bad: offline"})
	f.hear("spBv1.0/STATE/host", "ONLINE")
	f.hear("spBv1.0/plant/NCMD/edge", spark(0))
	if len(f.asked) != 0 {
		t.Errorf("asked for %v", f.asked)
	}
	if d := f.Devices(); len(d) != 2 || d[0].Reason != "offline" {
		t.Errorf("devices: %+v", d)
	}
}

// Whatever is not known is asked for, but not all the time.
func TestSparkplugRebirth(t *testing.T) {
	f := newSparkFeed(t, "spBv1.0/#", Options{})
	want := func(what string, n int) {
		t.Helper()
		if len(f.asked) != n || slices.ContainsFunc(f.asked, func(s string) bool { return s != "spBv1.0/plant/NCMD/edge" }) {
			t.Errorf("%s: asked %v, want %d times", what, f.asked, n)
		}
	}
	f.hear("spBv1.0/plant/NDATA/edge", spark(9, met("", 1, 0, 1)))
	want("no birth", 1)
	f.hear("spBv1.0/plant/NDATA/edge", spark(10, met("", 1, 0, 1)))
	want("no birth yet", 1)
	birth := spark(0, met("a", 1, 3, 1))
	f.now = f.now.Add(time.Minute)
	f.hear("spBv1.0/plant/NBIRTH/edge", birth)
	f.hear("spBv1.0/plant/NDATA/edge", spark(2, met("", 1, 0, 2)))
	want("gap", 2)
	f.now = f.now.Add(time.Minute)
	f.hear("spBv1.0/plant/NDATA/edge", spark(3, met("", 7, 0, 2)))
	want("unknown alias", 3)
	for seq := 4; seq < 600; seq++ {
		f.hear("spBv1.0/plant/NDATA/edge", spark(seq%256, met("", 1, 0, seq)))
	}
	want("all in order", 3)
	counts := make(map[string]float64)
	f.Observe(func(m bridge.Metric) {
		if m.Name == "fieldbridge_mqtt_bad_payloads_total" {
			counts[m.Labels[3]] = m.Value
		}
	})
	same(t, "faults", counts, map[string]float64{"not_born": 2, "sequence_gap": 1, "unknown_alias": 1})
	if said := f.said(); len(said) != 598 || said[0] != "plant.edge.a=1" || said[1] != "plant.edge.a=2" {
		t.Errorf("%d readings: %.100s", len(said), fmt.Sprint(said))
	}
}

// Metrics with times of their own are batches of their own; what is not safe as
// a whole is not safe.
func TestSparkplugTimes(t *testing.T) {
	f := newSparkFeed(t, "spBv1.0/plant/#", Options{})
	stamp := func(m []byte, at time.Time) []byte {
		return protowire.AppendVarint(protowire.AppendTag(m, 3, protowire.VarintType), uint64(at.UnixMilli()))
	}
	old := arrival.Add(-time.Hour)
	f.r.hold = true
	calls := 0
	payload := spark(0, stamp(met("a", 0, 3, 1), old), stamp(met("b", 0, 3, 2), old), stamp(met("a", 0, 3, 3), old.Add(time.Second)), met("a", 0, 3, 4), stamp(met("c", 0, 3, 5), time.UnixMilli(7)))
	f.ingest(f.router, message{topic: "spBv1.0/plant/NBIRTH/n", payload: []byte(payload), at: arrival}, f.r.emit, func(err error) { calls++ })
	var at []string
	for _, b := range f.r.batches {
		at = append(at, b.At.Format(time.TimeOnly)+" "+strings.Join(values([]bridge.Batch{b}), " "))
	}
	same(t, "batches", at, []string{"11:00:00 n.a=1 n.b=2", "11:00:01 n.a=3", "11:59:59 n.a=4 n.c=5"})
	held := f.r.take()
	held[1](nil)
	held[0](nil)
	if calls != 0 {
		t.Error("safe before all are")
	}
	held[2](nil)
	if calls != 1 {
		t.Errorf("safe is called %d times", calls)
	}
}

// A request for a rebirth reaches the node through the embedded broker, and
// through one of the site.
func TestSparkplugRebirthReachesNode(t *testing.T) {
	site := startMosquitto(t)
	cfg := siteConfig(Broker{URL: "mqtt://" + site.addr}, Sensor{Topic: "spBv1.0/#", Format: payload.Sparkplug})
	cfg.Brokers["local"] = Broker{Listen: "127.0.0.1:0"}
	cfg.Sensors = append(cfg.Sensors, sensor("here", Sensor{Broker: "local", Topic: "spBv1.0/#", Format: payload.Sparkplug}))
	s := start(t, cfg, Options{Gateway: "g"}, newRecorder().emit)
	connected(t, s)
	for _, addr := range []string{address(t, s), site.addr} {
		c := dialRaw(t, addr, 4, "edge")
		c.write(0x82, append(append([]byte{0, 1}, mqttString("spBv1.0/plant/NCMD/edge")...), 0))
		c.read()
		c.publish(0, 0, "spBv1.0/plant/NDATA/edge", spark(3, met("", 1, 0, 1)))
		if kind, body := c.read(); kind != 0x30 || !strings.Contains(string(body), "Node Control/Rebirth") {
			t.Errorf("got %#x %q", kind, body)
		}
	}
}

func FuzzSparkplug(f *testing.F) {
	f.Add([]byte(spark(0, met("bdSeq", 0, 8, uint64(3)), met("a", 1, 3, 1), met("b", 2, 12, "x"))), uint8(0))
	f.Add([]byte(spark(1, met("", 1, 0, 1), met("", 9, 0, nil))), uint8(3))
	f.Add([]byte(spark(0, structured("a", 1, 16, metricDataSet, dataSet(row(nil, "x", true))), structured("b", 2, 19, metricTemplate, template1(met("c", 0, 3, 1))),
		structured("d", 3, 32, metricBytes, []byte{1, 0, 0, 0, 0x80}), structured("e", 4, 33, metricBytes, []byte("x\x00y")))), uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		s, err := New(embeddedConfig(sensor("s", Sensor{Topic: "spBv1.0/#", Format: payload.Sparkplug})), Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := s.brokers["local"].router.Load()
		r.publish = func(string, []byte) {}
		kinds := []string{"NBIRTH/n", "DBIRTH/n/d", "NDATA/n", "DDATA/n/d", "DDEATH/n/d", "NDEATH/n"}
		for range 2 { // what it leaves behind, too
			s.ingest(r, message{topic: "spBv1.0/g/" + kinds[int(kind)%len(kinds)], payload: body, at: arrival}, func(b bridge.Batch, _ func(error)) {
				names := make(map[string]bool)
				for _, reading := range b.Readings {
					if names[reading.Point] || !bridge.ValidPoint(reading.Point) {
						t.Errorf("point %q is invalid or comes twice", reading.Point)
					}
					names[reading.Point] = true
				}
				if len(b.Readings) == 0 || !bridge.ValidDevice(b.Device) {
					t.Errorf("batch %+v", b)
				}
			}, nil)
		}
	})
}
