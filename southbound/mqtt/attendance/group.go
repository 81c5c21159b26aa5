package attendance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/condition"
)

// Group is devices that have in common where they come from.
type Group struct {
	common  string // what, for people
	subject string
	total   int // of them all
	silent  int
	first   time.Time // when the first of them was heard last
	last    time.Time
	Members []*Verdict // those for which no other cause is known
}

// Together returns, for each verdict, the largest group whose devices are all
// silent since about the same time: they hang on one thing, as a gateway of sensors.
func Together(verdicts []Verdict, now time.Time) []*Group {
	in := make([]*Group, len(verdicts))
	if CountSilent(verdicts) < 2 {
		return in
	}
	groups := make(map[string]*Group)
	for i := range verdicts {
		v := &verdicts[i]
		for _, key := range v.keys() {
			g := groups[key.subject]
			if g == nil {
				g = &Group{common: key.common, subject: key.subject}
				groups[key.subject] = g
			}
			g.total++
			if v.Silent() {
				g.silent++
				if g.first.IsZero() || v.Since.Before(g.first) {
					g.first = v.Since
				}
				if v.Since.After(g.last) {
					g.last = v.Since
				}
			}
		}
	}
	for i := range verdicts {
		v := &verdicts[i]
		if !v.Silent() {
			continue
		}
		for _, key := range v.keys() {
			if g := groups[key.subject]; g.atOnce(now) && (in[i] == nil || g.total > in[i].total) {
				in[i] = g
			}
		}
	}
	return in
}

// atOnce reports whether all fell silent, and with so little time between that one
// cause may be behind it: devices speak at different times.
func (g *Group) atOnce(now time.Time) bool {
	return g.silent == g.total && g.total > 1 && g.last.Sub(g.first) <= now.Sub(g.first)/2
}

// CountSilent returns how many devices are silent.
func CountSilent(verdicts []Verdict) (n int) {
	for i := range verdicts {
		if verdicts[i].Silent() {
			n++
		}
	}
	return n
}

type groupKey struct{ subject, common string }

// keys returns what a device may have in common with others: the client that
// published for it, and each beginning of its topic.
func (v *Verdict) keys() (keys []groupKey) {
	at := "mqtt " + v.Broker
	if v.Sender != "" {
		keys = append(keys, groupKey{at + " client " + v.Sender, "that client " + v.Sender + " speaks for"})
	}
	for i := range len(v.Topic) {
		if v.Topic[i] == '/' {
			keys = append(keys, groupKey{at + " topics " + v.Topic[:i+1] + "#", "under " + v.Topic[:i+1]})
		}
	}
	return keys
}

// Distinct returns each group once.
func Distinct(groups []*Group) (all []*Group) {
	for _, g := range groups {
		if g != nil && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

// Condition says that all devices of a group are silent.
func (g *Group) Condition() condition.Condition {
	kind, since := condition.SensorsQuiet, g.Members[0].Since
	var names []string
	for _, v := range g.Members {
		if v.Kind == condition.SensorSilent {
			kind = condition.SensorsSilent
		}
		if v.Since.After(since) {
			since = v.Since
		}
		names = append(names, v.Device)
	}
	return kind.At(g.subject, since, len(names), g.common, listed(names), Moment(since),
		"see whether the gateway of these sensors, or whatever else they come through, is on and reaches the broker")
}

// listed names some devices.
func listed(names []string) string {
	const most = 20
	list := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return list
}

// Offline takes out of the verdicts those whose gateway says that it is offline, and
// says that once for each gateway.
func Offline(verdicts []Verdict) (rest []Verdict, told []condition.Condition) {
	type gateway struct {
		since time.Time
		names []string
	}
	var subjects []string
	gateways := make(map[string]*gateway)
	for _, v := range verdicts {
		if v.Via == "" {
			rest = append(rest, v)
			continue
		}
		subject := "mqtt " + v.Broker + " topic " + v.Via
		g := gateways[subject]
		if g == nil {
			g = &gateway{since: v.Since}
			gateways[subject], subjects = g, append(subjects, subject)
		}
		g.names = append(g.names, v.Device)
	}
	for _, subject := range subjects {
		g := gateways[subject]
		told = append(told, condition.SensorsOffline.At(subject, g.since, Moment(g.since), len(g.names), listed(g.names)))
	}
	return rest, told
}
