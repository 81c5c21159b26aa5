package modbus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

// Health returns the buses and devices that are not well.
func (s *Source) Health() []condition.Condition {
	var conditions []condition.Condition
	down := make(map[string]bool) // buses
	for _, b := range s.running() {
		st, quiet := b.Status(), s.silence(b)
		subject := "bus " + b.Spec.Name
		switch {
		case !st.Down.IsZero():
			down[b.Spec.Address.String()] = true
			conditions = append(conditions, condition.BusDown.At(subject, st.Down, st.Detail, reach(b.Spec.Address, st.Detail)))
		case !quiet.since.IsZero():
			conditions = append(conditions, condition.BusSilent.At(subject, quiet.since, quiet.what, quiet.advice))
		case !st.Over.IsZero():
			conditions = append(conditions, condition.BusOverloaded.At(subject, st.Over, 100*st.Load))
		}
	}
	for _, d := range s.sorted() {
		conditions = append(conditions, d.health(down[d.Spec.Bus])...)
	}
	return conditions
}

// reach says what to check of a bus without a connection, and why there is none.
func reach(a wire.Address, why string) string {
	if host, _, _ := net.SplitHostPort(a.Host); strings.HasSuffix(why, " "+host) { // a [wire.NameError]
		return "the name, and the name server of this machine"
	}
	if a.Serial() {
		return "the adapter, its name under /dev/serial/by-id, and that no other program has it"
	}
	if a.Scheme == "tls" {
		return "that " + a.String() + " is on and can be reached, and the files under tls"
	}
	return "that " + a.String() + " is on and can be reached"
}

// health returns what is wrong with a device; down says that its bus is.
func (d *device) health(down bool) (conditions []condition.Condition) {
	st := d.Status()
	subject := "device " + d.Spec.Name
	if st.Missing != "" {
		conditions = append(conditions, condition.DeviceLacksModels.At(subject, st.Learnt.At, st.Missing))
	} else if st.Reasons[bridge.ReasonGivenUp] > 0 {
		conditions = append(conditions, condition.PointsGivenUp.At(subject, st.Learnt.At, givenUp(d.Spec.Fields, st.Learnt)))
	}
	if len(st.Silent) > 0 && st.Since.IsZero() {
		conditions = append(conditions, condition.PointsSilent.At(subject, st.Muted, unanswered(st.Silent)))
	}
	if !st.Unkept.IsZero() {
		conditions = append(conditions, condition.UpkeepFails.At(subject, st.Unkept, st.UnkeptWhat, st.UnkeptWhy))
	}
	if !st.Since.IsZero() {
		conditions = append(conditions, condition.DeviceDown.At(subject, st.Since, st.Detail, d.check(&st)))
	} else if since, why, bad := d.bad(&st); bad && !down && conditions == nil {
		conditions = append(conditions, condition.DeviceBad.At(subject, since, since.UTC().Format("2006-01-02 15:04 UTC"),
			why, adviceOnBad(why)))
	}
	return conditions
}

// A device whose points are all bad is told after so long, and after so many of its
// intervals: before, it may be busy or have been started just now.
const (
	badFor    = 10 * time.Second
	badCycles = 3
)

// bad reports whether a device answers and none of its points has been good for a
// while: since when, and why most are bad.
func (d *device) bad(st *poll.Status) (since time.Time, why bridge.Reason, is bool) {
	why = mostFrequent(st.Reasons)
	if st.Good > 0 || st.Bad == 0 || why == bridge.ReasonStopped {
		return since, why, false
	}
	if since = st.Last; since.IsZero() {
		since = d.begun
	}
	return since, why, time.Since(since) > max(badFor, badCycles*max(d.Spec.Fields[0].Every, st.Every))
}

// adviceOnBad says what to do about a device that answers with nothing good.
func adviceOnBad(why bridge.Reason) string {
	switch why {
	case bridge.Exception(1), bridge.Exception(2), bridge.Exception(3):
		return "see whether it is the device that is meant (another model, another unit id), then its points' " +
			"addresses and tables, which some manuals count from 1"
	case bridge.Exception(4):
		return "it reports a fault of its own: see its display or manual"
	case bridge.Exception(5), bridge.Exception(6):
		return "it says that it is busy: ask it less often, or see what else asks it"
	case bridge.ReasonNotANumber, bridge.ReasonSentinel:
		return "it says itself that it has no value: see what it measures with, its wiring and its power"
	case bridge.ReasonOutOfRange:
		return "see what it measures with, then type and order of its points"
	}
	return "'fieldbridge test' tells it of each point"
}

// check says what to check of a device that does not answer as it should.
func (d *device) check(st *poll.Status) string {
	a, _ := wire.ParseURL(d.Spec.Bus)
	var (
		stray    *wire.StrayError
		protocol *wire.ProtocolError
	)
	switch {
	case errors.As(st.Cause, &stray) && stray.Fix() != "":
		return stray.Fix()
	case st.Why == bridge.ReasonProtocol && errors.As(st.Cause, &protocol) && protocol.Whole:
		return "it breaks the protocol: see what it sends with 'fieldbridge modbus read URL ADDRESS --trace'"
	case st.Why == bridge.ReasonProtocol && a.Numbered():
		return "check address and port, something else than Modbus/TCP may listen there; of a converter that passes RTU " +
			"frames on, the url begins with rtu+tcp://"
	case st.Why == bridge.ReasonProtocol:
		return "check baud and parity, that no two units have its unit id, and the wiring"
	case st.Why == bridge.ReasonDisconnected:
		return "many devices take one connection or two: see whether other programs have them, or whether something " +
			"else than Modbus listens there"
	case st.Why == bridge.Exception(10):
		return "check the settings of the Modbus gateway before it, which has no way to this unit id"
	case st.Why == bridge.Exception(11):
		return "check that it is on and its unit id, and the line behind the Modbus gateway before it"
	}
	const known = "check that it is on and that its unit id is right"
	if st.Why == bridge.ReasonTimeout && a.Scheme == "tcp" {
		return known + ", and that it is Modbus/TCP what listens at " + a.Host
	}
	return known
}

// givenUp says which points are not read any more, and why: those that are not
// there first, with their addresses.
func givenUp(fields []*point.Field, l plan.Learnt) string {
	placed, _ := l.Placed(fields)
	var absent, long []*point.Field
	var others []string                    // by what others are refused
	refused := map[string][]*point.Field{} // by that
	for _, f := range placed {
		why, hole := l.Hole(f)
		switch {
		case hole && why != "":
			if refused[why] == nil {
				others = append(others, why)
			}
			refused[why] = append(refused[why], f)
		case hole:
			absent = append(absent, f)
		case l.Words.High > 0 && !f.Table.Bits() && f.Words > l.Words.Low:
			long = append(long, f)
		}
	}
	var texts []string
	if len(absent) > 0 {
		texts = append(texts, named(absent)+areOrIs(absent, " is not there", " are not there"))
	}
	for _, why := range others {
		is := areOrIs(refused[why], " is", " are") + " refused by " + why
		if why == poll.NoAnswer {
			is = areOrIs(refused[why], " gets", " get") + " no answer, while others of the device do"
		}
		texts = append(texts, named(refused[why])+is)
	}
	switch {
	case texts != nil:
		return strings.Join(texts, "; ")
	case len(long) > 0:
		return fmt.Sprintf("%s%s longer than the %d registers that it answers at once", named(long),
			areOrIs(long, " is", " are"), l.Words.Low)
	}
	return "some of its points cannot be read, it " + l.String()
}

// unanswered says which points get no answer.
func unanswered(requests []plan.Block) string {
	var fields []*point.Field
	for _, b := range requests {
		for i := range b.Fields {
			fields = append(fields, b.Fields[i].Field)
		}
	}
	return named(fields) + areOrIs(fields, " gets", " get")
}

// named lists points with their addresses, the first of many.
func named(fields []*point.Field) string {
	const most = 3
	var names []string
	for _, f := range fields[:min(len(fields), most)] {
		names = append(names, fmt.Sprintf("%s (%s %d)", f.Name, f.Table, f.Address))
	}
	if n := len(fields) - most; n > 0 {
		return fmt.Sprintf("%s and %d more points", strings.Join(names, ", "), n)
	}
	return join(names)
}

// join makes a list of a sentence.
func join(words []string) string {
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}

func areOrIs(fields []*point.Field, one, many string) string {
	if len(fields) == 1 {
		return one
	}
	return many
}

// silence is that no unit of a line answers: then it is hardly the units.
type silence struct {
	since        time.Time // zero if some unit answers, or the bus is no line
	what, advice string
}

// silence finds out whether a bus that has its port is silent as a whole.
func (s *Source) silence(b *poll.Bus) (q silence) {
	if b.Spec.Address.Numbered() || !b.Status().Down.IsZero() {
		return q
	}
	var units []string
	for _, d := range s.sorted() {
		if d.Spec.Bus != b.Spec.Address.String() {
			continue
		}
		st := d.Status()
		if st.Since.IsZero() {
			return silence{}
		}
		units = append(units, fmt.Sprint(d.Spec.ID))
		if st.Since.After(q.since) {
			q.since = st.Since
		}
	}
	switch len(units) {
	case 0:
		return silence{}
	case 1:
		q.what = "its only unit, " + units[0] + ", does not answer"
	default:
		q.what = fmt.Sprintf("none of its %d units answers", len(units))
	}
	const wiring = "that A and B are not swapped, the termination and the units' power"
	if p := b.Spec.Place; p.Address.Serial() {
		q.what += " at " + strings.TrimPrefix(p.String(), p.Address.String()+", ")
		q.advice = fmt.Sprintf("check baud and parity ('fieldbridge modbus scan --line %s' finds them while the gateway is "+
			"stopped), %s", p.Address, wiring)
		return q
	}
	q.advice = "check baud and parity that the converter at " + b.Spec.Address.Host + " is set to, " + wiring
	return q
}
