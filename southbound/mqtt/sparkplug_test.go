package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug/sparkplugtest"
)

// What writes metrics and their values.
var (
	met        = sparkplugtest.Metric
	structured = sparkplugtest.Structured
	members    = sparkplugtest.Members
)

// spark writes a payload of a second before arrival: seq, then metrics.
func spark(seq int, metrics ...[]byte) string {
	return sparkplugtest.Payload(arrival.Add(-time.Second), seq, metrics...)
}

// sparkFeed gives Sparkplug messages to a source and collects what it asks for.
type sparkFeed struct {
	*feedOne
	asked []string
}

func newSparkFeed(t *testing.T, topic string, o Options) *sparkFeed {
	f := &sparkFeed{feedOne: offline(t, o, sensor("tahu", Sensor{Topic: topic, Format: payload.Sparkplug}))}
	f.router.publish = func(topic string, payload []byte) {
		if topic != "spBv1.0/plant/NCMD/n" && topic != "spBv1.0/plant/NCMD/edge" ||
			!strings.Contains(string(payload), "Node Control/Rebirth") {
			t.Errorf("asks %s for %x", topic, payload)
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
	f.hear("spBv1.0/plant/NBIRTH/edge", spark(0, met("bdSeq", 0, 8, uint64(3)),
		met("Node Control/Rebirth", 0, 11, false), met("Uptime", 1, 7, 12)))
	f.hear("spBv1.0/plant/DBIRTH/edge/Press 1", spark(1, met("Outputs/Valve", 2, 11, true),
		met("Temp", 3, 9, float32(21.5)), met("Recipe", 4, 16, nil)))
	rig.Same(t, "births", f.said(), []string{"edge.uptime=12", "edge.Press_1.outputs_valve=true",
		"edge.Press_1.temp=21.5"})
	f.hear("spBv1.0/plant/DDATA/edge/Press 1", spark(2, met("", 3, 0, float32(22)), met("", 2, 0, false)))
	f.hear("spBv1.0/plant/NDATA/edge", spark(3, met("", 1, 0, 13)))
	rig.Same(t, "data", f.said(), []string{"edge.Press_1.temp=22", "edge.Press_1.outputs_valve=false", "edge.uptime=13"})
	devices, _, _ := catalogue.Snapshot()
	if len(devices) != 2 || devices[1].Device != "edge.Press_1" && devices[0].Device != "edge.Press_1" {
		t.Errorf("catalogue: %v", devices)
	}
	for _, d := range devices {
		i := slices.IndexFunc(d.Points, func(p bridge.PointInfo) bool { return p.Name == "temp" })
		if i >= 0 && d.Points[i].Type != "float32" {
			t.Errorf("type of temp is %s", d.Points[i].Type)
		}
	}
	f.hear("spBv1.0/plant/DDEATH/edge/Press 1", spark(4))
	rig.Same(t, "death of a device", f.said(), []string{"edge.Press_1.outputs_valve=bad: offline",
		"edge.Press_1.temp=bad: offline"})
	f.hear("spBv1.0/plant/NDEATH/edge", spark(-1, met("bdSeq", 0, 8, uint64(2))))
	rig.Same(t, "a late last will", f.said(), []string(nil))
	f.hear("spBv1.0/plant/NDEATH/edge", spark(-1, met("bdSeq", 0, 8, uint64(3))))
	rig.Same(t, "death of the node", f.said(), []string{"edge.uptime=bad: offline",
		"edge.Press_1.outputs_valve=bad: offline", "edge.Press_1.temp=bad: offline"})
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
	rig.Same(t, "faults", counts, map[string]float64{"not_born": 2, "sequence_gap": 1, "unknown_alias": 1})
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
	payload := spark(0, stamp(met("a", 0, 3, 1), old), stamp(met("b", 0, 3, 2), old),
		stamp(met("a", 0, 3, 3), old.Add(time.Second)), met("a", 0, 3, 4), stamp(met("c", 0, 3, 5), time.UnixMilli(7)))
	m := inlet.Message{Topic: "spBv1.0/plant/NBIRTH/n", Payload: []byte(payload), At: arrival}
	f.ingest(f.router, m, f.r.emit, func(err error) { calls++ })
	var at []string
	for _, b := range f.r.batches {
		at = append(at, b.At.Format(time.TimeOnly)+" "+strings.Join(values([]bridge.Batch{b}), " "))
	}
	rig.Same(t, "batches", at, []string{"11:00:00 n.a=1 n.b=2", "11:00:01 n.a=3", "11:59:59 n.a=4 n.c=5"})
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
	site := rig.StartMosquitto(t)
	cfg := siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + site.Addr}},
		Sensor{Topic: "spBv1.0/#", Format: payload.Sparkplug})
	cfg.Brokers["local"] = inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}}
	cfg.Sensors = append(cfg.Sensors, sensor("here", Sensor{
		Broker: "local", Topic: "spBv1.0/#", Format: payload.Sparkplug,
	}))
	s := start(t, cfg, Options{Gateway: "g"}, newRecorder().emit)
	connected(t, s)
	for _, addr := range []string{address(t, s), site.Addr} {
		c := rig.Dial(t, addr, 4, "edge")
		c.Write(0x82, append(append([]byte{0, 1}, rig.String("spBv1.0/plant/NCMD/edge")...), 0))
		c.Read()
		c.Publish(0, 0, "spBv1.0/plant/NDATA/edge", spark(3, met("", 1, 0, 1)))
		if kind, body := c.Read(); kind != 0x30 || !strings.Contains(string(body), "Node Control/Rebirth") {
			t.Errorf("got %#x %q", kind, body)
		}
	}
}

// Data names metrics by alias and without types, as the birth said, also those
// that have several values, and those that have none.
func TestSparkplugSeveralByAlias(t *testing.T) {
	f := newSparkFeed(t, "spBv1.0/plant/#", Options{})
	motor := members(met("Speed", 0, 9, float32(2.5)))
	f.hear("spBv1.0/plant/NBIRTH/n",
		spark(0, structured("Levels", 1, 28, sparkplugtest.Bytes, []byte{7, 0, 0, 0}),
			structured("Motor", 2, 19, sparkplugtest.Template, motor),
			structured("Photo", 3, 18, sparkplugtest.Bytes, []byte{1, 2, 3}),
			structured("Table", 4, 16, sparkplugtest.DataSet,
				sparkplugtest.Table(sparkplugtest.Row(new(int32(1)), "x", true))), met("Plain", 5, 3, 1)))
	rig.Same(t, "birth", f.said(), []string{"n.levels_0=7", "n.motor_speed=2.5", "n.table_0_no=1",
		"n.table_0_name=x", "n.table_0_on=true", "n.plain=1"})
	f.hear("spBv1.0/plant/NDATA/n", spark(1, structured("", 1, 0, sparkplugtest.Bytes, []byte{8, 0, 0, 0}),
		structured("", 2, 0, sparkplugtest.Template, members(met("Speed", 0, 0, float32(3)))),
		structured("", 3, 0, sparkplugtest.Bytes, []byte{1}),
		structured("", 4, 0, sparkplugtest.DataSet,
			sparkplugtest.Table(sparkplugtest.Row(new(int32(2)), "y", false))), met("", 5, 0, nil)))
	rig.Same(t, "data", f.said(), []string{"n.levels_0=8", "n.motor_speed=3", "n.table_0_no=2", "n.table_0_name=y",
		"n.table_0_on=false", "n.plain=bad: missing"})
	f.hear("spBv1.0/plant/NDATA/n", spark(2, met("", 5, 0, "no number")))
	rig.Same(t, "a wrong value", f.said(), []string{"n.plain=bad: wrong_type"})
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
	rig.Same(t, "faults", counts, map[string]float64{"not_a_value": 1, "wrong_type": 1, "unknown_alias": 1})
}
