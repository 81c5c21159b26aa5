package mqtt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem {
	var all []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Brokers)) {
		all = append(all, setting.Under([]string{"brokers", name}, c.Brokers[name].validate())...)
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
	var before []filter
	for i, s := range c.Sensors {
		f, err := parseFilter(s.Value.Topic)
		if err != nil {
			before = append(before, filter{}) // covers nothing
			continue
		}
		before = append(before, f)
		for j := range i {
			if other := c.Sensors[j]; other.Value.Broker == s.Value.Broker && before[j].covers(&f) {
				all = append(all, setting.Problem{Path: []string{"sensors", s.Name, "topic"}, Warning: true,
					Text: fmt.Sprintf("the rule never matches: %s comes before it and takes all its messages", other.Name),
					Fix:  "put the more special rule first"})
				break
			}
		}
	}
	return all
}

// firstError returns the first problem that is no warning.
func firstError(problems []setting.Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return fmt.Errorf("%s: %s: %s", strings.Join(p.Path, "."), p.Text, p.Fix)
		}
	}
	return nil
}

// report collects problems.
type report []setting.Problem

func (r *report) add(text, fix string, path ...string) {
	*r = append(*r, setting.Problem{Path: path, Text: text, Fix: fix})
}

func (r *report) addOnKey(text, fix string, path ...string) {
	*r = append(*r, setting.Problem{Path: path, OnKey: true, Text: text, Fix: fix})
}

func (c Config) validateSensor(s Sensor) []setting.Problem {
	var r report
	if b, ok := c.Brokers[s.Broker]; !ok {
		c.missingBroker(&r, s.Broker)
	} else if b.URL == "" && s.QoS != nil {
		r.addOnKey("qos is for a broker with url: at the embedded broker the sensor decides", "remove it", "qos")
	}
	if s.QoS != nil && (*s.QoS < 0 || *s.QoS > 2) {
		r.add(fmt.Sprintf("%d is no QoS", *s.QoS), "use 0, 1 or 2", "qos")
	}
	f, err := parseFilter(s.Topic)
	if err != nil {
		if s.Topic == "" {
			r.addOnKey("the sensor has no topic", `add one, as topic: "hall/{device}/temperature"`)
		} else {
			r.add(err.Error(), `write it as "hall/{device}/temperature" or "hall/+/#"`, "topic")
		}
		return append(r, s.validatePayload(nil)...)
	}
	if s.Format == formatSparkplug {
		return append(r, s.validateSparkplug()...)
	}
	s.validateDevice(&r, &f)
	if s.MaxDevices < 0 || s.MaxDevices > 100000 {
		r.add(fmt.Sprintf("max_devices is %d", s.MaxDevices), "use 1 to 100000", "max_devices")
	}
	if s.Expect != 0 && s.Expect.D() < time.Second {
		r.add(fmt.Sprintf("expect is %s", s.Expect), "use 1s or more", "expect")
	}
	return append(r, s.validatePayload(&f)...)
}

func (c Config) missingBroker(r *report, name string) {
	names := slices.Sorted(maps.Keys(c.Brokers))
	fix := "name one of brokers: " + strings.Join(names, ", ")
	if len(names) == 0 {
		fix = "add it under brokers"
	} else if near := nearest(name, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	if name == "" {
		r.addOnKey("the sensor has no broker", fix)
		return
	}
	r.add(fmt.Sprintf("there is no broker %q", name), fix, "broker")
}

func (s Sensor) validateDevice(r *report, f *filter) {
	t, err := parseTemplate(s.device(), f)
	switch {
	case err != nil && s.Device == "":
		r.add("the topic has no {device}, and there is no device", "capture {device} in the topic, or give device: a name", "topic")
	case err != nil:
		r.add(err.Error(), "use what the topic captures, or a fixed name", "device")
	case t.fixed() && !bridge.ValidDevice(s.Device):
		r.add(fmt.Sprintf("%q can't name a device", s.Device), "use 1 to 64 letters, digits, '.', '_' or '-'", "device")
	}
}

// nearest returns the name most like s, "" if none is.
func nearest(s string, names []string) string {
	best, least := "", max(1, len(s)/3)+1
	for _, n := range names {
		if d := distance(s, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters must be changed, put in or taken out to make b
// of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
