package mqtt

import (
	"fmt"
	"maps"
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
	if b, ok := c.Brokers[s.Broker]; !ok {
		c.missingBroker(&r, s.Broker)
	} else if len(b.URL) == 0 && s.QoS != nil {
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
	if s.Format == payload.Sparkplug {
		return append(r, s.validateSparkplug()...)
	}
	s.validateDevice(&r, &f)
	if s.MaxDevices < 0 || s.MaxDevices > 100000 {
		r.Add(fmt.Sprintf("max_devices is %d", s.MaxDevices), "use 1 to 100000", "max_devices")
	}
	if s.Expect != 0 && s.Expect.D() < time.Second {
		r.Add(fmt.Sprintf("expect is %s", s.Expect), "use 1s or more", "expect")
	}
	if len(s.Points) > 0 {
		r.Misplaced(map[string]bool{"point": s.Point != ""}, " is for a sensor without points")
	} else {
		s.validatePoint(&r, &f)
	}
	return append(r, s.payload().Validate()...)
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

// validateSparkplug checks a rule whose payloads describe themselves.
func (s Sensor) validateSparkplug() []setting.Problem {
	var r setting.Problems
	if !strings.HasPrefix(s.Topic, sparkplug.Namespace+"/") {
		r.Add("Sparkplug B topics begin with "+sparkplug.Namespace+"/", "write it as "+sparkplug.Namespace+"/GROUP/#",
			"topic")
	}
	if strings.Contains(s.Topic, "{") {
		r.Add("Sparkplug B topics are not captured from: they name group, node and device", "use + or #", "topic")
	}
	r.Misplaced(map[string]bool{"device": s.Device != "", "point": s.Point != ""}, payload.DescribesItself)
	return append(r, s.payload().ValidateSparkplug()...)
}
