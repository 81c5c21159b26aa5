package setup

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// writable finds whether and how a point may be set.
func writable(f *finder, r *point.Field, p Point, d Device) {
	k := permit.Keys{Access: p.Access, Writable: p.Writable, Poll: p.Poll, Confirm: p.Confirm, Pulse: p.Pulse,
		Invert: p.Invert, TrueIs: p.TrueIs, FalseIs: p.FalseIs, WriteFunction: p.WriteFunction, Together: p.Together,
		Base: d.Base, OwnParts: p.Parts != nil}
	if r.Models != nil || p.Ref != "" {
		k.Base = 0
	}
	for _, of := range []struct {
		key   string
		given bool
	}{{"every", p.Every != nil}, {"on_change", p.OnChange != nil}, {"heartbeat", p.Heartbeat != nil},
		{"deadband", p.Deadband != nil}, {"report", p.Report != nil}, {"thin", p.Thin != nil}} {
		if of.given {
			k.Readings = append(k.Readings, of.key)
		}
	}
	k.Resolve(r, f.bad)
	if r.Writable == nil {
		return
	}
	if r.Size > 0 && (r.Size == 1 || r.Kind >= point.KindString || r.Mask != 0 || p.WriteFunction != nil) {
		f.bad("writable", "a register of its own size that is no whole number or float of two bytes or more",
			"only those are written, by function 16: remove writable, write_function, or bytes")
	}
	r.Scale, r.Offset = 1, 0
	if s := scaleOf(r, p); s != nil {
		r.Scale = s.Float()
	}
	if p.Offset != nil {
		r.Offset = p.Offset.Float()
	}
	if r.Scale == 0 {
		f.bad("scale", "a writable point with scale 0", "use another scale")
	}
	if r.Straight != nil && r.Straight.Num == 0 {
		f.bad("range/value", "a writable point whose values are the same", "give the two ends of the range")
	}
}

// shownBy finds the point that shows that r was set.
func shownBy(f *finder, r *point.Field, name string, fields map[string]*point.Field, d Device) {
	shown := fields[r.Of(name)]
	if shown == nil {
		shown = fields[point.Copy{Instance: r.Instance}.Of(name)]
	}
	if shown != nil {
		permit.Show(r, shown, name, f.bad)
	} else if _, wrong := d.Points[name]; !wrong {
		f.bad("confirm/point", fmt.Sprintf("%q is not a point of this device", name),
			suggest(name, slices.Sorted(maps.Keys(d.Points))))
	}
}

// covered finds points whose requests would read what is never read.
func covered(fields []*point.Field, keys map[*point.Field]string) (problems []setting.Problem) {
	permit.Covered(fields, func(r, mute *point.Field) {
		f := finder{path: []string{"points", keys[r]}}
		f.on("it cannot be read without "+mute.Name+", which is never read",
			"make one of them access: write, or the other not")
		problems = append(problems, f.problems...)
	})
	return problems
}

// setOthers takes the points out of the polls that are not read, or only when
// someone asks.
func (s *DeviceSpec) setOthers() {
	unpolled := func(f *point.Field) bool { return f.Unpolled || f.WriteOnly() }
	if !slices.ContainsFunc(s.Fields, unpolled) {
		return // the fields stay shared
	}
	for _, f := range s.Fields {
		if f.WriteOnly() {
			s.Limits.Never = append(s.Limits.Never, f)
		}
		if unpolled(f) {
			s.Others = append(s.Others, f)
		}
	}
	s.Fields = slices.DeleteFunc(slices.Clone(s.Fields), unpolled)
	s.Unit.Never = plan.Learnt{}.Never(s.Limits)
}
