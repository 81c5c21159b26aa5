package mqtt

import (
	"fmt"
	"slices"
	"strings"

	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/naming"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/weigh"
)

// searcher looks for the causes of silence. It is used for one answer.
type searcher struct {
	ways    map[string]*way
	refused map[string][]trouble.Entry // by broker
	newer   map[string][]*route        // by broker
	gone    map[string][]*route        // by broker; the last message says that somebody is offline
}

func newSearcher(names []string, brokers []*way) *searcher {
	x := &searcher{ways: make(map[string]*way),
		refused: make(map[string][]trouble.Entry), newer: make(map[string][]*route),
		gone: make(map[string][]*route)}
	for i, name := range names {
		x.ways[name] = brokers[i]
	}
	return x
}

// cause returns what is known of why a device is silent, to follow the sentence, and
// what to do; "" if nothing is.
func (x *searcher) cause(v *attendance.Verdict) (what, advice string) {
	broker := v.Broker
	w := x.ways[broker]
	if w == nil {
		return "", ""
	}
	if w.site != nil && !w.site.Counts().Connected {
		return ", the broker " + broker + " is not connected", "see what is said of the broker " + broker
	}
	if e, ok := x.refusal(w, broker, v); ok {
		// Without port and count, which change with each try: each change is a message.
		e.Client.Remote = trouble.Host(e.Client.Remote)
		return fmt.Sprintf(", its client %s is refused: %s", e.Client, e.Cause), e.Advice
	}
	r := w.router.Load()
	if v.Topic != "" {
		if to := r.match(v.Topic); to.rule != nil && to.rule.name != v.Rule {
			return fmt.Sprintf(", rule %s stands before rule %s and takes its topic %s", to.rule.name, v.Rule,
				v.Topic), "put the rule that is more special first"
		}
	}
	return x.moved(r, broker, v)
}

// refusal returns that the broker does not let in who speaks for the device.
func (x *searcher) refusal(w *way, broker string, v *attendance.Verdict) (trouble.Entry, bool) {
	if w.embedded == nil {
		return trouble.Entry{}, false
	}
	all, ok := x.refused[broker]
	if !ok {
		for _, e := range w.embedded.Trouble() {
			if strings.HasPrefix(e.Kind.Code, "refused_") && e.Kind != trouble.Topic {
				all = append(all, e)
			}
		}
		x.refused[broker] = all
	}
	user, id, withUser := strings.Cut(v.From, weigh.UserEnd)
	if !withUser {
		user, id = "", v.From
	}
	for _, e := range all {
		same := e.Client.ID != "" && (e.Client.ID == trouble.Short(id) || e.Client.ID == v.Device)
		if same || e.Client.ID == "" && e.Client.User != "" && (e.Client.User == user || e.Client.User == v.Device) {
			if e.Last.After(v.Since) {
				return e, true
			}
		}
	}
	return trouble.Entry{}, false
}

// moved returns where the messages of the device seem to come now: on a topic that is
// newer than its silence, from its client or with its name.
func (x *searcher) moved(r *router, broker string, v *attendance.Verdict) (what, advice string) {
	newer, ok := x.newer[broker]
	if !ok {
		r.mu.RLock()
		for _, to := range r.routes {
			newer = append(newer, to)
			if !to.said(wordsOffline).IsZero() {
				x.gone[broker] = append(x.gone[broker], to)
			}
		}
		r.mu.RUnlock()
		slices.SortFunc(newer, func(a, b *route) int { return strings.Compare(a.topic, b.topic) })
		x.newer[broker] = newer
	}
	for _, to := range x.gone[broker] {
		if to.topic != v.Topic && hasLevel(to.topic, v.Device) && to.said(wordsOffline).After(v.Since) {
			return fmt.Sprintf(", and %s, its last will maybe, says that it is offline", printable(to.topic)),
				"see whether it has power and network; with availability in rule " + v.Rule + " that is told at once"
		}
	}
	for _, to := range newer {
		if to.topic == v.Topic || to.rule != nil && to.name() == v.Device || !to.began().After(v.Since) ||
			!x.alike(to, v) {
			continue
		}
		switch {
		case to.rule != nil && to.rule.config.Ignore, len(to.avail) > 0, isOrder(to.topic), !to.said(wordsOnline).IsZero():
		case to.rule == nil:
			return fmt.Sprintf(", it was on %s then; now %s comes, which no rule takes", v.Topic, printable(to.topic)),
				fmt.Sprintf("the topic has moved: change topic of rule %s, or the device", v.Rule)
		case to.born().After(v.Since) && !to.quiet():
			return fmt.Sprintf(", it was on %s then; now %s comes, which is device %s", v.Topic, printable(to.topic), to.name()),
				"the topic has moved: change it back, or forget the old name with 'fieldbridge sensors forget " + v.Device + "'"
		}
	}
	return "", ""
}

// isOrder reports whether a topic is by its name what devices are told, and not what
// they tell.
func isOrder(topic string) bool {
	for level := range strings.SplitSeq(topic, "/") {
		switch strings.ToLower(level) {
		case "set", "get", "cmnd", "cmd", "command", "commands", "config", "rpc":
			return true
		}
	}
	return false
}

// alike reports whether a topic may be that of the device under another name. After
// a restart all topics are new, so there the client alone says little.
func (x *searcher) alike(to *route, v *attendance.Verdict) bool {
	sender := v.From != "" && to.from == v.From
	if v.Recalled {
		sender = sender && to.topic[strings.LastIndexByte(to.topic, '/')+1:] == v.Topic[strings.LastIndexByte(v.Topic,
			'/')+1:]
	}
	return sender || hasLevel(to.topic, v.Device)
}

// hasLevel reports whether a level of a topic is a device's name.
func hasLevel(topic, device string) bool {
	for level := range strings.SplitSeq(topic, "/") {
		if naming.Device(level) == device {
			return true
		}
	}
	return false
}

// subscription says what a broker of the site makes of a rule's subscription, "" at
// the embedded one, and if it is granted.
func (x *searcher) subscription(r *rule) string {
	w := x.ways[r.config.Broker]
	if w == nil || w.site == nil {
		return ""
	}
	if text := w.site.Subscription(r.filter.String()); text != "granted" {
		return text
	}
	return ""
}
