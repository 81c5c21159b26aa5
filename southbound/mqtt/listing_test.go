package mqtt

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// A listing as JSON is one list that programs of older versions read: a topic is
// as it was.
func TestListingJSON(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	want := Listing{Topics: []Seen{{Broker: "local", Topic: "a/b", Messages: 1, Last: at}},
		Rules: []RuleSeen{{Broker: "local", Sensor: "a", Filter: "a/{device}", Messages: 1, Last: at}, {Sensor: "never"}},
		Clients: []ClientTrouble{{Broker: "local", Trouble: "refused_login", Remote: "10.0.0.7:1", Count: 3, First: at,
			Last: at}}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Listing
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s:\n%s", b, d)
	}
	var old []Seen
	if err := json.Unmarshal(b, &old); err != nil || old[0].Topic != "a/b" {
		t.Errorf("as topics: %v, %+v", err, old)
	}
	if b, err := json.Marshal(Listing{}); string(b) != "[]" {
		t.Errorf("of nothing: %s, %v", b, err)
	}
	for _, wrong := range []string{"{}", `[1]`, `[{"row":"rule","messages":"x"}]`} {
		if json.Unmarshal([]byte(wrong), &got) == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

// A rule whose messages never come is listed, with what its broker said to its
// filter: a broker may grant it and deliver nothing.
func TestCaseS06(t *testing.T) {
	acl := rig.File(t, "acl", "topic read $SYS/#\ntopic readwrite open/#\n")
	b := rig.StartMosquitto(t, "allow_anonymous true", "acl_file "+string(acl))
	f := start(t, siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}},
		Sensor{Topic: "secret/{device}", Point: "p"},
		Sensor{Topic: "open/{device}", Point: "p"}), Options{Gateway: "g"}, newRecorder().emit)
	rule := func(name string) RuleSeen {
		for _, r := range f.Listing().Rules {
			if r.Sensor == name {
				return r
			}
		}
		return RuleSeen{}
	}
	rig.Until(t, "connected", func() bool { return rule("s1").Subscription == "granted" })
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "secret/a", "-m", "1")
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "open/a", "-m", "1")
	rig.Until(t, "the message that may be read", func() bool { return rule("s1").Messages == 1 })
	if r := rule("s0"); r.Messages != 0 || !r.Last.IsZero() || r.Subscription == "" || r.Filter != "secret/{device}" {
		t.Errorf("%+v", r)
	}
	if r := rule("s1"); time.Since(r.Last) > time.Minute {
		t.Errorf("%+v", r)
	}
}
