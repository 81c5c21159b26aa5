package mqtt

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug"
	"fieldbridge/southbound/mqtt/topic"
)

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem {
	var all []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Brokers)) {
		all = append(all, setting.Under([]string{"brokers", name}, c.Brokers[name].Validate())...)
	}
	for _, s := range c.Sensors {
		all = append(all, setting.Under([]string{"sensors", s.Name}, c.validateSensor(s.Value))...)
	}
	return append(all, c.shadowed()...)
}

// shadowed warns of rules that never match, since one before them takes all
// their messages.
func (c Config) shadowed() []setting.Problem {
	var all []setting.Problem
	var before []topic.Filter
	for i, s := range c.Sensors {
		f, err := topic.Parse(s.Value.Topic)
		if err != nil {
			before = append(before, topic.Filter{}) // covers nothing
			continue
		}
		before = append(before, f)
		for j := range i {
			if other := c.Sensors[j]; other.Value.Broker == s.Value.Broker && before[j].Covers(&f) {
				all = append(all, setting.Problem{Path: []string{"sensors", s.Name, "topic"}, Warning: true,
					Text: fmt.Sprintf("the rule never matches: %s comes before it and takes all its messages", other.Name),
					Fix:  "put the more special rule first"})
				break
			}
		}
	}
	return all
}

func (c Config) validateSensor(s Sensor) []setting.Problem {
	var r setting.Problems
	b, ok := c.Brokers[s.Broker]
	site := !ok || len(b.URL) > 0
	if !ok {
		c.missingBroker(&r, s.Broker)
	} else if !site && s.QoS != nil {
		r.AddOnKey("qos is for a broker with url: at the embedded broker the sensor decides", "remove it", "qos")
	}
	if s.QoS != nil && (*s.QoS < 0 || *s.QoS > 2) {
		r.Add(fmt.Sprintf("qos is %d", *s.QoS), "use 0, 1 or 2", "qos")
	}
	f, err := topic.Parse(s.Topic)
	if err != nil {
		if s.Topic == "" {
			r.AddOnKey("the sensor has no topic", `add one, as topic: "hall/{device}/temperature"`)
		} else {
			r.Add(err.Error(), `write it as "hall/{device}/temperature" or "hall/+/#"`, "topic")
		}
		return append(r, s.payload().Validate()...)
	}
	if s.Ignore {
		return append(r, s.validateIgnored()...)
	}
	s.validatePresence(&r, site)
	if s.Format == payload.Sparkplug {
		return append(r, s.validateSparkplug()...)
	}
	s.validateDevice(&r, &f)
	if s.MaxDevices < 0 || s.MaxDevices > 100000 {
		r.Add(fmt.Sprintf("max_devices is %d", s.MaxDevices), "use 1 to 100000", "max_devices")
	}
	s.validateAvailability(&r)
	if len(s.Points) > 0 {
		r.Misplaced(map[string]bool{"point": s.Point != ""}, " is for a sensor without points")
	} else {
		s.validatePoint(&r, &f)
	}
	settings := s.payload()
	if device, err := topic.ParseTemplate(s.device(), &f); err == nil {
		settings.Device = device.Paths()
	}
	if point, err := topic.ParseTemplate(s.point(), &f); err == nil {
		settings.Point = point.Paths()
	}
	return append(r, settings.Validate()...)
}

func (c Config) missingBroker(r *setting.Problems, name string) {
	names := slices.Sorted(maps.Keys(c.Brokers))
	fix := "name one of brokers: " + strings.Join(names, ", ")
	if len(names) == 0 {
		fix = "add it under brokers"
	} else if near := setting.Suggest(name, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	if name == "" {
		r.AddOnKey("the sensor has no broker", fix)
		return
	}
	r.Add(fmt.Sprintf("there is no broker %q", name), fix, "broker")
}

func (s Sensor) validateDevice(r *setting.Problems, f *topic.Filter) {
	t, err := topic.ParseTemplate(s.device(), f)
	switch {
	case err != nil && s.Device == "":
		r.Add("the topic has no {device}, and there is no device", "capture {device} in the topic, or give device: a name",
			"topic")
	case err != nil:
		r.Add(err.Error(), "use what the topic captures, or a fixed name", "device")
	case t.Fixed() && !bridge.ValidDevice(s.Device):
		r.Add(fmt.Sprintf("%q cannot name a device", s.Device), "use 1 to 64 letters, digits, '.', '_' or '-'", "device")
	}
}

// validatePoint checks the name of the point of a rule whose payload is one
// value.
func (s Sensor) validatePoint(r *setting.Problems, f *topic.Filter) {
	t, err := topic.ParseTemplate(s.point(), f)
	switch {
	case err != nil && s.Point == "":
		r.AddOnKey("the sensor has neither point nor points",
			"give point: a name if the payload is one value, or "+
				"points with paths if it is JSON; or capture {point} in the topic")
	case err != nil:
		r.Add(err.Error(), "use what the topic captures, or a fixed name", "point")
	case t.Fixed() && !bridge.ValidPoint(s.Point):
		r.Add(fmt.Sprintf("%q cannot name a point", s.Point), fmt.Sprintf("use lower-case letters, digits and _, as %q",
			bridge.PointName(s.Point)), "point")
	}
}

// validatePresence checks what says when a device is missed; site is whether the
// broker may be one of the site.
func (s Sensor) validatePresence(r *setting.Problems, site bool) {
	if e := s.Expect.Within(); e != 0 && e < time.Second {
		r.Add(fmt.Sprintf("expect is %s", s.Expect), "use 1s or more", "expect")
	}
	if s.ForgetAfter != 0 && (s.ForgetAfter.D() < time.Hour || s.ForgetAfter.D() < 2*s.Expect.Within()) {
		r.Add(fmt.Sprintf("forget_after is %s", s.ForgetAfter), "use 1h or more, and twice expect or more",
			"forget_after")
	}
	switch s.Retained {
	case "":
	case retainedUse, retainedMark, retainedIgnore:
		if !site {
			r.AddOnKey("retained is for a broker with url: to the embedded broker sensors send only what is new", "remove it",
				"retained")
		}
	default:
		r.Add(fmt.Sprintf("retained is %q", s.Retained), "use mark, use or ignore", "retained")
	}
}

// validateIgnored checks a rule that makes nothing of its messages.
func (s Sensor) validateIgnored() []setting.Problem {
	var r setting.Problems
	rest := reflect.ValueOf(s)
	for i := range rest.NumField() {
		key := rest.Type().Field(i).Tag.Get("yaml")
		if !slices.Contains([]string{"broker", "topic", "ignore"}, key) && !rest.Field(i).IsZero() {
			r.AddOnKey("a rule with ignore: true makes nothing of its messages",
				"leave only broker, topic and ignore, or remove ignore", cmp.Or(key, "ignore"))
		}
	}
	return r
}

// validateSparkplug checks a rule whose payloads describe themselves.
func (s Sensor) validateSparkplug() []setting.Problem {
	var r setting.Problems
	if !sparkplug.Built {
		r.Add("this is the small build, which leaves out Sparkplug", "run the whole fieldbridge", "format")
	}
	if !strings.HasPrefix(s.Topic, sparkplug.Namespace+"/") {
		r.Add("Sparkplug B topics begin with "+sparkplug.Namespace+"/", "write it as "+sparkplug.Namespace+"/GROUP/#",
			"topic")
	}
	if strings.Contains(s.Topic, "{") {
		r.Add("Sparkplug B topics are not captured from: they name group, node and device", "use + or #", "topic")
	}
	r.Misplaced(map[string]bool{"device": s.Device != "", "point": s.Point != "",
		"availability": s.Availability != nil}, payload.DescribesItself)
	return append(r, s.payload().ValidateSparkplug()...)
}
