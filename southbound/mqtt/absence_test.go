package mqtt

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// notes is a state in memory.
type notes map[string][]byte

func (n notes) Get(key string) ([]byte, error) { return n[key], nil }

func (n notes) Put(key string, value []byte) error { n[key] = value; return nil }

// plant is a source without sockets, in a bubble.
type plant struct {
	*Source
	t      *testing.T
	router *router
	r      *recorder
	stop   func()
}

// run starts a plant whose memory is kept in n.
func runPlant(t *testing.T, n notes, sensors ...setting.Named[Sensor]) *plant {
	t.Helper()
	cfg := embeddedConfig(sensors...)
	if sensors[0].Value.Retained != "" {
		cfg.Brokers["local"] = inlet.Broker{URL: inlet.Addresses{"mqtt://127.0.0.1:1"}}
	}
	s, err := New(cfg, Options{State: n, Synced: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{Source: s, t: t, router: s.brokers["local"].router.Load(), r: newRecorder()}
	ways := s.brokers
	s.brokers = nil // no sockets in here
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, p.r.emit) }()
	synctest.Wait()
	s.mu.Lock()
	s.brokers = ways
	s.mu.Unlock()
	p.stop = func() { cancel(); <-done }
	return p
}

func (p *plant) hear(from, topic, payload string) {
	p.ingest(p.router, inlet.Message{Topic: topic, Payload: []byte(payload), At: time.Now(), From: from}, p.r.emit, nil)
}

// told returns the conditions as "code subject: text".
func (p *plant) told() (all []string) {
	synctest.Wait()
	for _, c := range p.devices.absences(time.Now(), newSearcher([]string{"local"}, []*way{p.brokers["local"]})) {
		all = append(all, c.Code+" "+c.String())
	}
	return all
}

// only fails unless exactly one condition is told that has all of the words.
func (p *plant) only(words ...string) {
	p.t.Helper()
	told := p.told()
	if len(told) != 1 {
		p.t.Fatalf("told:\n%s\nwant one with %q", strings.Join(told, "\n"), words)
	}
	for _, w := range words {
		if !strings.Contains(told[0], w) {
			p.t.Errorf("told: %s\nwithout %q", told[0], w)
		}
	}
}

func (p *plant) none() {
	p.t.Helper()
	if told := p.told(); len(told) > 0 {
		p.t.Fatalf("told:\n%s", strings.Join(told, "\n"))
	}
}

// A device with a rhythm is a warning after three times its longest pause and ten
// minutes at the least, one without after a day; no point becomes bad (D7).
func TestCaseD7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := runPlant(t, notes{}, sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t"}))
		defer p.stop()
		for range 21 {
			p.hear("a", "hall/a/t", "21")
			p.hear("door", "hall/slow/t", "21")
			time.Sleep(5 * time.Minute)
		}
		p.hear("a", "hall/a/t", "21")
		p.hear("door", "hall/door/t", "1")
		time.Sleep(5 * time.Minute)
		p.hear("b", "hall/slow/t", "21")
		time.Sleep(10*time.Minute - time.Second)
		p.none()
		time.Sleep(32 * time.Second)
		p.only("sensor_quiet device a: nothing has come from it since 2000-01-01 01:45 UTC")
		p.r.mu.Lock()
		for _, v := range values(p.r.batches) {
			if strings.Contains(v, "bad") {
				t.Errorf("emitted %s", v)
			}
		}
		p.r.mu.Unlock()
		if d := p.Devices()[0]; d.Good != 1 || d.Detail != "nothing has come since 2000-01-01 01:45 UTC" {
			t.Errorf("%+v", d)
		}
		p.hear("a", "hall/a/t", "22")
		p.none()
		for range 23 * 60 / 5 {
			time.Sleep(5 * time.Minute)
			p.hear("a", "hall/a/t", "22")
			p.hear("slow", "hall/slow/t", "22")
		}
		p.none()
		for range 60 / 5 {
			time.Sleep(5 * time.Minute)
			p.hear("a", "hall/a/t", "22")
			p.hear("slow", "hall/slow/t", "22")
		}
		time.Sleep(31 * time.Second)
		p.only("sensor_quiet device door")
	})
}

// A device past expect, or whose messages cannot be read, is an alarm (D1); after a
// restart, too, with its points and since when (D2).
func TestCaseD1D2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := notes{}
		rule := sensor("hall", Sensor{Topic: "hall/{device}/{point}", Expect: attendance.Expect(5 * time.Second)})
		p := runPlant(t, n, rule)
		p.hear("x", "hall/oven/t", "180")
		p.hear("y", "hall/hob/t", "hot")
		time.Sleep(6 * time.Second)
		p.hear("y", "hall/hob/t", "hot")
		time.Sleep(4 * time.Second)
		p.hear("y", "hall/hob/t", "hot")
		told := p.told()
		if len(told) != 2 || !strings.HasPrefix(told[0], "sensor_unread device hob: ") ||
			!strings.HasPrefix(told[1], "sensor_silent device oven: nothing has come from it since 2000-01-01 00:00 UTC") {
			t.Fatalf("told:\n%s", strings.Join(told, "\n"))
		}
		p.stop()
		time.Sleep(3 * time.Hour)
		p = runPlant(t, n, rule)
		defer p.stop()
		p.hear("y", "hall/hob/t", "90")
		p.only("sensor_silent device oven: nothing has come from it since 2000-01-01 00:00 UTC (before the last start of")
		rig.Same(t, "readings", values(p.r.batches), []string{"oven.t=bad: silent", "hob.t=90"})
		p.hear("x", "hall/oven/t", "20")
		p.none()
		p.Forget("oven")
		p.hear("y", "hall/hob/t", "91")
		time.Sleep(time.Second)
		p.none()
	})
}

// What nobody listened to is no silence: after an outage of the gateway all devices
// have their time to come back.
func TestOutageIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := notes{}
		rule := sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t"})
		p := runPlant(t, n, rule)
		for range 30 {
			p.hear("a", "hall/a/t", "21")
			time.Sleep(time.Minute)
		}
		p.hear("door", "hall/door/t", "0")
		p.stop()
		time.Sleep(72 * time.Hour)
		p = runPlant(t, n, rule)
		time.Sleep(9 * time.Minute)
		p.none()
		p.hear("a", "hall/a/t", "21")
		time.Sleep(9*time.Minute + 59*time.Second)
		p.none()
		time.Sleep(40 * time.Second)
		p.only("sensor_quiet device a") // it knows its rhythm, although this run heard it once
		// Runs of half a day each do not make a door well for ever.
		for range 3 {
			p.stop()
			p = runPlant(t, n, rule)
			p.hear("a", "hall/a/t", "21")
			time.Sleep(9 * time.Hour)
		}
		defer p.stop()
		told := strings.Join(p.told(), "\n")
		if !strings.Contains(told, "device door") {
			t.Errorf("told: %s", told)
		}
	})
}

// A gateway that was killed knows what it wrote down ten minutes before at the
// latest.
func TestRememberedWithoutStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := notes{}
		rule := sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t", Expect: attendance.Expect(time.Minute)})
		p := runPlant(t, n, rule)
		p.hear("a", "hall/a/t", "21")
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		kept := notes{}
		for k, v := range n {
			kept[k] = v
		}
		p.stop()
		p = runPlant(t, kept, rule)
		defer p.stop()
		p.only("sensor_silent device a: nothing has come from it since 2000-01-01 00:00 UTC")
	})
}

// All devices behind one thing are one sentence with their names.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := runPlant(t, notes{}, sensor("zigbee", Sensor{Topic: "zigbee/{device}", Points: payload.Points{"t": {Path: "t"}},
			Expect: attendance.Expect(time.Minute)}),
			sensor("hall", Sensor{Topic: "hall/{device}/t", Point: "t", Expect: attendance.Expect(time.Minute)}))
		defer p.stop()
		for i := range 6 {
			p.hear("coordinator", fmt.Sprint("zigbee/lamp", i), `{"t":1}`)
		}
		for range 3 {
			p.hear("h", "hall/a/t", "1")
			p.hear("g", "hall/b/t", "1")
			time.Sleep(30 * time.Second)
		}
		p.only("sensors_silent mqtt local client \"coordinator\"", "lamp0, lamp1, lamp2, lamp3, lamp4, lamp5",
			"gateway of these sensors")
	})
}

// S12: a last will makes the points of its device bad, until it is back or a value
// comes; a word that is neither is told.
func TestCaseS12(t *testing.T) {
	f := offline(t, Options{}, sensor("plugs", Sensor{Topic: "tele/{device}/SENSOR",
		Availability: &Availability{Topic: "tele/{device}/LWT", Online: payload.Words{"Online"},
			Offline: payload.Words{"Offline"}},
		Points: payload.Points{"power": {Path: "ENERGY.Power"}}}))
	f.hear("tele/plug/LWT", "Online")
	f.hear("tele/plug/SENSOR", `{"ENERGY":{"Power":5}}`)
	f.hear("tele/plug/LWT", "Offline")
	f.hear("tele/plug/LWT", "Offline")
	if told := f.Health(); len(told) != 1 || told[0].Code != "sensor_offline" || told[0].Subject != "device plug" {
		t.Errorf("told: %v", told)
	}
	f.hear("tele/plug/LWT", "Online")
	f.hear("tele/plug/LWT", "Offline")
	f.hear("tele/plug/SENSOR", `{"ENERGY":{"Power":6}}`)
	f.hear("tele/plug/LWT", "perhaps")
	rig.Same(t, "readings", values(f.r.batches), []string{"plug.power=5", "plug.power=bad: offline",
		"plug.power=bad: offline", "plug.power=bad: missing", "plug.power=bad: offline", "plug.power=6"})
	if d := f.Devices(); len(d) != 1 || d[0].Good != 1 {
		t.Errorf("devices: %+v", d)
	}
	rig.Same(t, "bad payloads", metric(f.Source, "fieldbridge_mqtt_bad_payloads_total"), 1.0)
	rig.Same(t, "unmatched", metric(f.Source, "fieldbridge_mqtt_unmatched_total"), 0.0)
	if all := f.Unmatched(10); len(all) > 0 {
		t.Errorf("no rule takes %+v", all)
	}
	if seen := f.Seen()[0]; seen.Sensor != "plugs" || seen.Device != "plug" || seen.Values["availability"] != "perhaps" {
		t.Errorf("seen: %+v", seen)
	}
}

// The topic of a last will is not where a device has moved to, nor are commands to it; a
// will that no rule takes is told as the cause.
func TestLastWillIsNoMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := runPlant(t, notes{}, sensor("plugs", Sensor{Topic: "tele/{device}/SENSOR", Point: "w",
			Expect: attendance.Expect(time.Minute)}))
		defer p.stop()
		p.hear("a", "tele/plug/LWT", "Online")
		p.hear("a", "tele/plug/SENSOR", "5")
		p.hear("b", "tele/lamp/SENSOR", "5")
		time.Sleep(30 * time.Second)
		p.hear("a", "tele/plug/LWT", "Offline")
		p.hear("c", "cmnd/lamp/POWER", "ON")
		p.hear("c", "zigbee2mqtt/lamp/set", "ON")
		p.hear("b", "stat/lamp/state", `{"state":"online"}`)
		time.Sleep(time.Minute)
		told := p.told()
		if len(told) != 2 || !strings.Contains(told[0], "tele/plug/LWT, its last will maybe, says that it is offline") ||
			strings.Contains(told[1], "moved") {
			t.Errorf("told:\n%s", strings.Join(told, "\n"))
		}
	})
}

// S06: a rule for which nothing comes is told after expect, or a day, and at once if
// it stands in the shadow of another.
func TestCaseS06Told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := notes{}
		rules := []setting.Named[Sensor]{
			sensor("sec", Sensor{Topic: "secret/{device}", Point: "v", Expect: attendance.Expect(3 * time.Second)}),
			sensor("calm", Sensor{Topic: "calm/{device}", Point: "v"}),
			sensor("never", Sensor{Topic: "never/{device}", Point: "v", Expect: attendance.Nothing}),
		}
		p := runPlant(t, n, rules...)
		time.Sleep(2 * time.Second)
		p.none()
		time.Sleep(2 * time.Second)
		p.only("rule_silent sensor rule sec: no message has come for it since 2000-01-01 00:00 UTC: see on which topics")
		time.Sleep(13 * time.Hour)
		p.stop()
		p = runPlant(t, n, rules...)
		p.hear("", "secret/x", "1")
		time.Sleep(12 * time.Hour)
		p.hear("", "secret/x", "1")
		p.only("rule_unheard sensor rule calm: no message has come for it since 2000-01-01 00:00 UTC")
		p.stop()
		p = runPlant(t, notes{}, sensor("all", Sensor{Topic: "m/#", Device: "all", Point: "v"}),
			sensor("oven", Sensor{Topic: "m/oven", Device: "oven", Point: "v"}))
		defer p.stop()
		p.hear("", "m/oven", "1")
		p.only("rule_unheard sensor rule oven", "rule all stands before it and takes all of m/oven")
	})
}

// A retained message is read, and is no sign of life; or whatever the rule says.
func TestRetained(t *testing.T) {
	for how, want := range map[string][]string{
		"":             {"oven.t=20", "oven.t=bad: silent"},
		retainedMark:   {"oven.t=20", "oven.t=bad: silent"},
		retainedUse:    {"oven.t=20"},
		retainedIgnore: {"oven.t=bad: silent"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := runPlant(t, notes{}, sensor("hall", Sensor{Topic: "hall/oven", Device: "oven", Point: "t",
				Expect: attendance.Expect(time.Minute), Retained: how}))
			defer p.stop()
			time.Sleep(50 * time.Second)
			p.ingest(p.router, inlet.Message{Topic: "hall/oven", Payload: []byte("20"), At: time.Now(), Retained: true},
				p.r.emit, nil)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			p.r.mu.Lock()
			defer p.r.mu.Unlock()
			rig.Same(t, "retained: "+how, values(p.r.batches), want)
		})
	}
}

var _ bridge.State = notes{}

// A gateway of sensors, or its last will, speaks for all devices of the rule that come
// through it: one sentence says so. What it says of them does not touch a device that
// went by itself.
func TestGatewayOfSensorsOffline(t *testing.T) {
	f := offline(t, Options{}, sensor("zigbee", Sensor{Topic: "home/{gateway}/{device}",
		Availability: &Availability{Topic: "home/+/{device}/availability", Path: "state",
			Gateway: "home/{gateway}/bridge/state", Offline: payload.Words{"offline", "lost"}},
		Points: payload.Points{"t": {Path: "t"}}}))
	for _, topic := range []string{"home/a/lamp", "home/a/plug", "home/b/oven"} {
		f.hear(topic, `{"t":1}`)
	}
	f.hear("home/a/plug/availability", `{"state":"offline"}`)
	f.hear("home/a/bridge/state", "lost")
	told := f.Health()
	if len(told) != 2 || told[0].Subject != "mqtt local topic home/a/bridge/state" ||
		!strings.Contains(told[0].Text, "of 1 devices (lamp)") || told[1].Subject != "device plug" {
		t.Errorf("told: %v", told)
	}
	f.hear("home/a/bridge/state", `{"state":"online"}`)
	if told := f.Health(); len(told) != 1 || told[0].Subject != "device plug" {
		t.Errorf("after that: %v", told)
	}
	f.hear("home/a/bridge/state", "stopping")
	rig.Same(t, "readings", values(f.r.batches), []string{"lamp.t=1", "plug.t=1", "oven.t=1", "plug.t=bad: offline",
		"lamp.t=bad: offline", "plug.t=bad: offline", "lamp.t=bad: missing"})
	rig.Same(t, "a word that is neither", f.Seen()[0].Error,
		"availability: the word is neither that of online nor that of offline")
	rig.Same(t, "no rule takes", len(f.Unmatched(10)), 0)
}

func TestAvailabilityValidates(t *testing.T) {
	point := payload.Points{"t": {Path: "t"}}
	for text, a := range map[string]Availability{
		"availability.topic":   {Topic: "bridge/state"},
		"availability.gateway": {Gateway: "{other}/state"},
		"availability.offline": {Gateway: "a", Online: payload.Words{"up"}, Offline: payload.Words{"down", "UP"}},
		"":                     {Gateway: "{gw}/LWT"},
	} {
		got := ""
		for _, p := range embeddedConfig(sensor("s", Sensor{Topic: "{gw}/{device}", Availability: &a,
			Points: point})).Validate() {
			got = strings.Join(p.Path[2:], ".")
		}
		rig.Same(t, fmt.Sprintf("%+v", a), got, text)
	}
	named := Sensor{Topic: "{gw}/ble", Device: "{.mac}", Each: "@this", Points: point,
		Availability: &Availability{Gateway: "{gw}/LWT"}}
	if p := embeddedConfig(sensor("s", named)).Validate(); len(p) > 0 {
		t.Errorf("devices that the payload names: %+v", p)
	}
}
