package mqtt

import (
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/naming"
	"fieldbridge/southbound/mqtt/payload"
)

// named returns a source with rules, whose names are kept in state, and the
// catalogue that it tells.
func named(t *testing.T, state bridge.State, rules ...Sensor) (*Source, *bridge.Catalogue) {
	t.Helper()
	cfg := embeddedConfig()
	for i, r := range rules {
		r.Broker = "local"
		cfg.Sensors = append(cfg.Sensors, sensor(string(rune('a'+i)), r))
	}
	catalogue := new(bridge.Catalogue)
	s, err := New(cfg, Options{State: state, Catalogue: catalogue})
	if err != nil {
		t.Fatal(err)
	}
	return s, catalogue
}

func snapshot(c *bridge.Catalogue) []bridge.DeviceInfo {
	all, _, _ := c.Snapshot()
	return all
}

// A name that is alone is what it always was. Of two that would be one, the first
// keeps it, the other is told apart, and neither changes whichever comes first after
// a restart.
func TestNamesDoNotMelt(t *testing.T) {
	state := new(rig.Memory)
	rule := Sensor{Topic: "t/{device}", Point: "v"}
	s, _ := named(t, state, rule)
	apart := naming.DeviceApart("kåche", 4)
	rig.Same(t, "alone", told(take(s, "t/küche", "1")), []string{"k__che v=1"})
	rig.Same(t, "another", told(take(s, "t/kåche", "2")), []string{apart + " v=2"})
	rig.Same(t, "the first again", told(take(s, "t/küche", "3")), []string{"k__che v=3"})
	if !strings.HasPrefix(apart, "kaache_") && !strings.HasPrefix(apart, "kache_") {
		t.Error(apart)
	}
	rig.Same(t, "a name as it is", told(take(s, "t/k__che", "4")), []string{naming.DeviceApart("k__che", 4) + " v=4"})
	s.devices.names.save()

	s, catalogue := named(t, state, rule)
	rig.Same(t, "after a restart", told(take(s, "t/k__che", "4")), []string{naming.DeviceApart("k__che", 4) + " v=4"})
	rig.Same(t, "after a restart", told(take(s, "t/kåche", "2")), []string{apart + " v=2"})
	rig.Same(t, "after a restart", told(take(s, "t/küche", "1")), []string{"k__che v=1"})
	var originals []string
	for _, d := range snapshot(catalogue) {
		originals = append(originals, d.Device+" is "+d.Original)
	}
	slices.Sort(originals)
	rig.Same(t, "catalogue", originals, []string{"k__che is küche", naming.DeviceApart("k__che", 4) + " is k__che",
		apart + " is kåche"})
	for _, seen := range s.Seen() {
		if seen.Original != strings.TrimPrefix(seen.Topic, "t/") {
			t.Errorf("seen: %+v", seen)
		}
	}
}

// A lossy name that is alone is remembered, too: after a restart another that would
// have the same name does not take it.
func TestNamesAreKeptForTheirOwners(t *testing.T) {
	state := new(rig.Memory)
	s, _ := named(t, state, Sensor{Topic: "t/{device}", Point: "v"})
	take(s, "t/a b", "1")
	s.devices.names.save()
	s, _ = named(t, state, Sensor{Topic: "t/{device}", Point: "v"})
	rig.Same(t, "another first", told(take(s, "t/a:b", "2")), []string{naming.DeviceApart("a:b", 4) + " v=2"})
	rig.Same(t, "the owner", told(take(s, "t/a b", "1")), []string{"a_b v=1"})
}

// Points are told apart within their device: of topics, of JSON, of elements.
func TestPointNamesDoNotMelt(t *testing.T) {
	state := new(rig.Memory)
	rules := []Sensor{{Topic: "t/{device}/{point}"}, {Topic: "j/{device}", Points: payload.AllPoints()},
		{Topic: "e/{device}", Each: "@this", Point: "{.n}", Path: "v"}}
	s, catalogue := named(t, state, rules...)
	temp := naming.PointApart("temp", 4)
	rig.Same(t, "first", told(take(s, "t/a/Temp", "1")), []string{"a temp=1"})
	rig.Same(t, "second", told(take(s, "t/a/temp", "2")), []string{"a " + temp + "=2"})
	rig.Same(t, "elsewhere", told(take(s, "t/b/temp", "2")), []string{"b temp=2"})
	rig.Same(t, "JSON", told(take(s, "j/c", `{"E":{"P":1},"E_P":2,"e.p":3,"x":4}`)),
		[]string{"c e_p=1 " + naming.PointApart("E_P", 4) + "=2 " + naming.PointApart("e.p", 4) + "=3 x=4"})
	rig.Same(t, "elements", told(take(s, "e/d", `[{"n":"T 1","v":1},{"n":"T.1","v":2}]`)),
		[]string{"d t_1=1 " + naming.PointApart("T.1", 4) + "=2"})
	s.devices.names.save()

	s, _ = named(t, state, rules...)
	rig.Same(t, "JSON after a restart", told(take(s, "j/c", `{"e.p":3,"E_P":2,"E":{"P":1}}`)),
		[]string{"c " + naming.PointApart("e.p", 4) + "=3 " + naming.PointApart("E_P", 4) + "=2 e_p=1"})
	rig.Same(t, "topics after a restart", told(take(s, "t/a/temp", "2")), []string{"a " + temp + "=2"})
	rig.Same(t, "topics after a restart", told(take(s, "t/a/Temp", "2")), []string{"a temp=2"})
	for _, d := range snapshot(catalogue) {
		for _, p := range d.Points {
			if d.Device == "a" && (p.Name == "temp") != (p.Original == "Temp") {
				t.Errorf("catalogue: %+v", p)
			}
		}
	}
}

// Whoever invents names that collide fills neither memory nor state.
func TestNamesAreBounded(t *testing.T) {
	s, _ := named(t, nil, Sensor{Topic: "p/{device}", Points: payload.AllPoints()})
	for i := range 40 {
		var b strings.Builder
		for j := range 200 {
			b.WriteString(`,"` + strings.Repeat(" ", i) + strings.Repeat(".", j/4) + strings.Repeat("#", j%4) + `":1`)
		}
		take(s, "p/a", "{"+b.String()[1:]+"}")
	}
	d := s.devices.byName["a"]
	if d.book.Len() > 2*maxPoints || len(d.points) > maxPoints {
		t.Errorf("%d names, %d points", d.book.Len(), len(d.points))
	}
}

// Plain rules cost what they did.
func TestPlainMessageAllocatesOnce(t *testing.T) {
	s := source(t, Sensor{Topic: "t/{device}/v", Point: "v"})
	m := inlet.Message{Topic: "t/a/v", Payload: []byte("21.5"), At: arrival}
	r := s.brokers["local"].router.Load()
	emit := func(bridge.Batch, func(error)) {}
	if n := testing.AllocsPerRun(100, func() { s.ingest(r, m, emit, nil) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// A sensor that is remembered keeps its name and those of its points, though it is
// called otherwise.
func TestRememberedSensorsKeepTheirNames(t *testing.T) {
	state := new(rig.Memory)
	rule := Sensor{Topic: "j/{device}", Points: payload.AllPoints()}
	s, _ := named(t, state, rule)
	take(s, "j/küche", `{"Temp":1,"temp":2}`)
	entries := s.devices.entries(arrival, func(*device) bool { return true })
	s.devices.names.save()
	s, _ = named(t, state, rule)
	s.devices.recall(entries, s.rules, arrival)
	rig.Same(t, "again", told(take(s, "j/küche", `{"temp":2,"Temp":1}`)),
		[]string{"k__che " + naming.PointApart("temp", 4) + "=2 temp=1"})
	rig.Same(t, "devices", len(s.Devices()), 1)
}
