package mqtt

import (
	"slices"
	"strings"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/topic"
)

// availability is where the devices of a rule say that they come and go, ready to
// use.
type availability struct {
	own             *topic.Filter // of each device; nil is none
	device          topic.Template
	gateway         *topic.Filter // of what they come through; nil is none
	path            string
	online, offline payload.Words
}

// newAvailability returns nil for a rule without.
func newAvailability(c Sensor) (*availability, error) {
	if c.Availability == nil {
		return nil, nil
	}
	a := &availability{path: c.Availability.Path, online: c.Availability.words(true),
		offline: c.Availability.words(false)}
	if payload.Exact && c.Availability.Gateway != "" {
		f, err := topic.Parse(c.Availability.Gateway)
		if err != nil {
			return nil, err
		}
		a.gateway = &f
		if c.Availability.Topic == "" {
			return a, nil
		}
	}
	f, err := topic.Parse(c.Availability.Topic)
	if err != nil {
		return nil, err
	}
	a.own = &f
	a.device, err = topic.ParseTemplate(c.device(), a.own)
	return a, err
}

// words returns the words for being there, or for being gone.
func (a *Availability) words(online bool) payload.Words {
	words, fallback := a.Offline, "offline"
	if online {
		words, fallback = a.Online, "online"
	}
	if len(words) == 0 {
		words = payload.Words{fallback}
	}
	return words
}

// filters returns the topics of a.
func (a *availability) filters() (all []*topic.Filter) {
	if a.own != nil {
		all = append(all, a.own)
	}
	if payload.Exact && a.gateway != nil {
		all = append(all, a.gateway)
	}
	return all
}

// validateAvailability checks where devices say that they come and go.
func (s Sensor) validateAvailability(r *setting.Problems) {
	a := s.Availability
	if a == nil {
		return
	}
	switch {
	case a.Gateway == "":
	case payload.Exact:
		s.validateGateway(r, a.Gateway)
	default:
		r.Add("this is the small build, which leaves it out", "run the whole fieldbridge", "availability", "gateway")
	}
	if slices.ContainsFunc(a.words(true), a.words(false).Has) {
		r.Add("online and offline are the same word", "give the words that the device says", "availability", "offline")
	}
	if a.Gateway != "" && a.Topic == "" {
		return
	}
	f, err := topic.Parse(a.Topic)
	if err != nil {
		r.Add(err.Error(), `write it as "tele/{device}/LWT"`, "availability", "topic")
		return
	}
	switch t, err := topic.ParseTemplate(s.device(), &f); {
	case err != nil:
		r.Add(err.Error(), "capture there what the name of the device is made of, as tele/{device}/LWT; one that speaks for "+
			"all devices of the rule is availability: gateway", "availability", "topic")
	case t.Paths() != nil:
		r.Add("the device is named by the payload, not by the topic",
			"remove topic; one that speaks for all devices of the rule is availability: gateway", "availability", "topic")
	}
}

func (s Sensor) validateGateway(r *setting.Problems, filter string) {
	f, err := topic.Parse(filter)
	if err != nil {
		r.Add(err.Error(), `write it as "zigbee2mqtt/bridge/state"`, "availability", "gateway")
		return
	}
	of, err := topic.Parse(s.Topic)
	if err != nil {
		return // told elsewhere
	}
	for _, name := range f.Names() {
		if !slices.Contains(of.Names(), name) {
			r.Add("the topic of the rule does not capture {"+name+"}", "capture what both have, or write + there",
				"availability", "gateway")
		}
	}
}

// shared reports whether a gateway whose topic captured some names speaks for devices
// on another topic, which the filter of the rule matches.
func (r *rule) shared(captures []string, on string) bool {
	theirs, ok := r.filter.Match(on, nil)
	if !ok {
		return false
	}
	names := r.filter.Names()
	for i, name := range r.avail.gateway.Names() {
		if at := slices.Index(names, name); at < 0 || theirs[at] != captures[i] {
			return false
		}
	}
	return true
}

// word is what a payload says of being there.
func (a *availability) word(text []byte) string {
	word, ok := payload.Word(text, a.path)
	if !ok {
		word = strings.TrimSpace(string(text))
	}
	return word
}
