package mqtt

import (
	"cmp"
	"strings"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/topic"
)

// availability is where the devices of a rule say that they come and go, ready to
// use.
type availability struct {
	filter          topic.Filter
	device          topic.Template
	path            string
	online, offline string
}

// newAvailability returns nil for a rule without.
func newAvailability(c Sensor) (*availability, error) {
	if c.Availability == nil {
		return nil, nil
	}
	a := &availability{path: c.Availability.Path, online: cmp.Or(c.Availability.Online, "online"),
		offline: cmp.Or(c.Availability.Offline, "offline")}
	var err error
	if a.filter, err = topic.Parse(c.Availability.Topic); err != nil {
		return nil, err
	}
	a.device, err = topic.ParseTemplate(c.device(), &a.filter)
	return a, err
}

// validateAvailability checks where devices say that they come and go.
func (s Sensor) validateAvailability(r *setting.Problems) {
	a := s.Availability
	if a == nil {
		return
	}
	f, err := topic.Parse(a.Topic)
	if err != nil {
		r.Add(err.Error(), `write it as "tele/{device}/LWT"`, "availability", "topic")
		return
	}
	switch t, err := topic.ParseTemplate(s.device(), &f); {
	case err != nil:
		r.Add(err.Error(), "capture there what the name of the device is made of, as tele/{device}/LWT", "availability",
			"topic")
	case t.Paths() != nil:
		r.Add("the device is named by the payload, not by the topic", "remove availability", "availability")
	}
	if strings.EqualFold(cmp.Or(a.Online, "online"), cmp.Or(a.Offline, "offline")) {
		r.Add("online and offline are the same word", "give the words that the device says", "availability", "offline")
	}
}
