package payload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
)

func emissions(devices, points int, every time.Duration) []Emission {
	var all []Emission
	for d := range devices {
		e := Emission{Device: fmt.Sprint("device-", d), Every: every}
		for p := range points {
			e.Readings = append(e.Readings, reading(fmt.Sprint("register_", p), Typical("uint16", p)))
		}
		all = append(all, e)
	}
	return all
}

func TestAdvice(t *testing.T) {
	for _, tt := range []struct {
		format Format
		linger time.Duration
		want   int
	}{{Columns, time.Second, 1}, {Columns, 10 * time.Second, 0}, {Rows, time.Second, 0}, {Flat, time.Second, 0}} {
		c := validSettings()
		c.Format, c.Linger = tt.format, setting.Duration(tt.linger)
		all := emissions(10, 20, time.Second)
		f, err := c.Forecast("g", nil, all)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Advice("g", nil, all, f)
		if len(got) != tt.want || tt.want > 0 && (!got[0].Warning || !strings.Contains(got[0].Text,
			"too few readings of each device")) {
			t.Errorf("%s at %v: %+v", tt.format, tt.linger, got)
		}
	}
}

// A topic for each device costs many times the units: that is said, but not where it
// makes no difference, or where messages are free.
func TestAdviceOnTopics(t *testing.T) {
	for _, tt := range []struct {
		topic, ingest string
		format        Format
		devices       int
		linger        time.Duration
		want          bool
	}{
		{"plant/{gateway}/{device}", "", Rows, 8, time.Second, true},
		{"plant/{gateway}/{device}", "", Columns, 8, 10 * time.Second, true},
		{"plant/{gateway}/{device}", "", Flat, 8, time.Second, false},
		{"plant/{gateway}/{device}", "", Rows, 1, time.Second, false},
		{"plant/{gateway}/{device}", "rule", Rows, 8, time.Second, false},
		{"plant/{gateway}", "", Rows, 8, time.Second, false},
	} {
		c := validSettings()
		c.Topic, c.BasicIngest, c.Format, c.Linger = tt.topic, tt.ingest, tt.format, setting.Duration(tt.linger)
		all := emissions(tt.devices, 20, time.Second)
		f, err := c.Forecast("g", nil, all)
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, p := range c.Advice("g", nil, all, f) {
			got = got || p.Warning && strings.Contains(p.Text, "{device} in the topic makes")
		}
		if got != tt.want {
			t.Errorf("%+v: warned %v", tt, got)
		}
	}
}

// What was measured of 8 devices with a topic of their own, each second: 4.72
// messages a second.
func TestForecastOfTopicsOfTheirOwn(t *testing.T) {
	c := validSettings()
	c.Topic = "plant/{gateway}/{device}"
	f, err := c.Forecast("g", nil, emissions(8, 20, time.Second))
	if err != nil || f.Messages < 4.72*0.95 || f.Messages > 4.72*1.05 {
		t.Errorf("%.2f messages a second, %v; 4.72 were measured", f.Messages, err)
	}
}

func TestForecastFindsTooMuch(t *testing.T) {
	rate := Rate{Messages: 8, Bytes: 40 << 10}
	for name, test := range map[string]struct {
		change    func(*Settings)
		emissions []Emission
		problems  int
		fix       string
	}{
		"fits": {emissions: emissions(10, 1, time.Second)},
		"topics": {change: func(s *Settings) { s.Topic = "plant/{device}" },
			emissions: emissions(20, 1, time.Second), problems: 1,
			fix: "leave {device} out of the topic, or raise linger to 10s, or read less often, or deliver on change only"},
		"flat": {change: func(s *Settings) { s.Format = Flat }, emissions: emissions(20, 1, time.Second), problems: 1,
			fix: "use format rows, or use format columns, or use format protobuf, or read less often, " +
				"or deliver on change only"},
		"flat topics": {change: func(s *Settings) { s.Format, s.Topic = Flat, "plant/{device}" },
			emissions: emissions(20, 1, time.Second), problems: 1,
			fix: "leave {device} out of the topic and use format rows; or read less often, or deliver on change only"},
		"messages": {emissions: emissions(17, 100, time.Second), problems: 1,
			fix: "raise max_message to 100KiB, or use format protobuf, or read less often, or deliver on change only"},
		"bytes": {emissions: emissions(4, 1000, time.Second), problems: 2,
			fix: "raise linger to 10s and use format columns and raise max_message to 100KiB; or use format protobuf; " +
				"or read less often, or deliver on change only"},
		"topics of points": {change: func(s *Settings) { s.Format, s.Topic = Flat, "plant/{device}/{point}" },
			emissions: emissions(5, 40, time.Second), problems: 1,
			fix: "leave {point} out of the topic, or read less often, or deliver on change only"},
		"too many": {emissions: emissions(20, 1000, time.Second), problems: 2,
			fix: "read less often, or deliver on change only: no format or linger makes it fit"},
	} {
		t.Run(name, func(t *testing.T) {
			c := validSettings()
			c.Topic = "plant"
			if test.change != nil {
				test.change(&c)
			}
			f, err := c.Forecast("g", nil, test.emissions)
			if err != nil {
				t.Fatal(err)
			}
			got := c.Excess("g", nil, test.emissions, f, rate)
			if len(got) != test.problems {
				t.Fatalf("%+v: %+v", f, got)
			}
			for _, p := range got {
				if p.Fix != test.fix {
					t.Errorf("%+v: %s: %s", f, p.Text, p.Fix)
				}
			}
		})
	}
	c := validSettings()
	if f, err := c.Forecast("g", nil, nil); err != nil || f.UnitsPerMonth() != 0 || f.BytesPerReading() != 0 {
		t.Errorf("nothing: %+v, %v", f, err)
	}
}
