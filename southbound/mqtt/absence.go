package mqtt

import (
	"fmt"
	"time"

	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/weigh"
)

// mostNamed is how many devices have a condition of their own at a time.
const mostNamed = 60

// absences returns what is wrong with devices and rules.
func (ds *devices) absences(now time.Time, search *searcher) (all []condition.Condition) {
	verdicts := ds.judgeAll(now, false)
	if attendance.CountSilent(verdicts) > 1 {
		verdicts = ds.judgeAll(now, true) // what they have in common needs the others, too
	}
	if payload.Exact {
		verdicts, all = attendance.Offline(verdicts)
	}
	groups := attendance.Together(verdicts, now)
	var told int
	named := func(c condition.Condition) {
		if told++; told <= mostNamed {
			all = append(all, c)
		}
	}
	for i := range verdicts {
		v := &verdicts[i]
		switch {
		case v.Kind == nil:
		case !v.Silent():
			named(v.Condition("", ""))
		default:
			what, advice := "", ""
			if told < mostNamed {
				what, advice = search.cause(v)
			}
			if what == "" && groups[i] != nil {
				groups[i].Members = append(groups[i].Members, v)
				continue
			}
			named(v.Condition(what, advice))
		}
	}
	for _, g := range attendance.Distinct(groups) {
		if len(g.Members) == 1 {
			named(g.Members[0].Condition("", ""))
		} else if len(g.Members) > 1 {
			named(g.Condition())
		}
	}
	if told > mostNamed {
		all = append(all, condition.MoreSensors.At("sensors", now.Truncate(time.Hour), told-mostNamed))
	}
	return append(all, ds.unheard(now, search)...)
}

// unheard returns the rules for which no message has ever come.
func (ds *devices) unheard(now time.Time, search *searcher) (all []condition.Condition) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i, r := range ds.rules {
		n, _ := r.heard.tell()
		if bad := r.spoilt.Load(); bad != nil && ds.counts[r.name] == 0 {
			all = append(all, condition.SensorUnread.At("sensor rule "+r.name, bad.at, attendance.Moment(bad.at),
				bad.fault.Text(""), r.name))
			continue
		}
		if n > 0 || r.config.Ignore || r.expect < 0 || ds.counts[r.name] > 0 {
			continue
		}
		kind, within := condition.RuleUnheard, 24*time.Hour
		if r.expect.Within() > 0 {
			kind, within = condition.RuleSilent, r.expect.Within()
		}
		silent := r.waits.silent(now)
		shadow := shadowOf(ds.rules[:i], r)
		if silent < within && shadow == nil {
			continue
		}
		since := now.Round(0).Add(-silent)
		if r.waits.shown.Sub(since).Abs() > time.Minute {
			r.waits.shown = since.Truncate(time.Second)
		}
		what, advice := "", "see on which topics the sensors publish with 'fieldbridge sensors', and whether they may"
		if shadow != nil {
			what = fmt.Sprintf(": rule %s stands before it and takes all of %s", shadow.name, r.config.Topic)
			advice = "put the rule that is more special first"
		} else if t := search.subscription(r); t != "" {
			what = ", the subscription is " + t
		}
		all = append(all, kind.At("sensor rule "+r.name, r.waits.shown, attendance.Moment(r.waits.shown), what, advice))
	}
	return all
}

// judgeAll returns what is the matter with the devices: of one that several rules
// read, the worst. Those that are well are left out unless they are asked for.
func (ds *devices) judgeAll(now time.Time, well bool) (all []attendance.Verdict) {
	for _, d := range ds.all() {
		if worst, ok := d.judge(now); ok && (well || worst.Kind != nil) {
			if worst.From != "" {
				worst.Sender = weigh.SessionName(worst.From)
			}
			all = append(all, worst)
		}
	}
	return all
}

func (d *device) judge(now time.Time) (worst attendance.Verdict, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, f := range d.feeds {
		s := attendance.Subject{Device: d.name, Rule: f.rule.name, Broker: f.rule.config.Broker, Expect: f.rule.expect,
			Points: f}
		if v := f.Verdict(s, now); i == 0 || v.Worse(worst) {
			worst = v
		}
	}
	return worst, len(d.feeds) > 0
}

// Reason returns why most of the points that f reads are bad.
func (f *feed) Reason() string {
	reasons := make(map[string]int)
	most := ""
	for _, p := range f.device.points {
		if p.feed != f || p.value.Good() {
			continue
		}
		r := p.value.Reason().String()
		if reasons[r]++; most == "" || reasons[r] > reasons[most] || reasons[r] == reasons[most] && r < most {
			most = r
		}
	}
	return most
}

// Battery returns what the device said of its battery, "" if it did not.
func (f *feed) Battery() string { return f.charge }

// shadowOf returns the rule that takes all messages of r, nil if none does.
func shadowOf(before []*rule, r *rule) *rule {
	for _, other := range before {
		if other.config.Broker == r.config.Broker && other.filter.Covers(&r.filter) {
			return other
		}
	}
	return nil
}
