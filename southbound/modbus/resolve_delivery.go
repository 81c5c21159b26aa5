package modbus

import (
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// delivery finds when the readings of a point are delivered; nil is each one.
func (f *finder) delivery(r *point.Field, p Point, d Device) *bridge.Delivery {
	onChange := d.OnChange
	if p.OnChange != nil {
		onChange = *p.OnChange
	}
	number := r.Kind != point.KindBool && r.Kind != point.KindString
	v := bridge.Delivery{OnChange: onChange, Heartbeat: d.Heartbeat.D()}
	if p.Heartbeat != nil {
		v.Heartbeat = p.Heartbeat.D()
		if !onChange && p.Deadband == nil {
			f.bad("heartbeat", "a heartbeat of a point that is delivered each time", "add on_change: true, or remove it")
		}
	}
	if p.Deadband != nil {
		if !number {
			f.bad("deadband", "a deadband for a "+r.TypeName, "only numbers have one: use on_change: true")
		}
		v.OnChange, v.Deadband, v.Percent = true, p.Deadband.Value.Float(), p.Deadband.Percent
	}
	if p.Report != nil {
		v.Report = f.report(r, p.Report, number)
	}
	if !v.OnChange && v.Report == nil {
		return nil
	}
	return &v
}

func (f *finder) report(r *point.Field, p *Report, number bool) *bridge.Report {
	if p.Every.D() < r.Every {
		f.bad("report/every", "a report over "+p.Every.String()+" of a point that is read every "+
			setting.Duration(r.Every).String(), "use a longer time")
	}
	if len(p.As) == 0 {
		f.bad("report", "a report that says nothing", "add as: [mean, min, max, last]")
	}
	v := &bridge.Report{Every: p.Every.D()}
	for i, as := range p.As {
		s := bridge.Statistic(as)
		switch {
		case !slices.Contains(bridge.Statistics, s):
			f.bad(fmt.Sprintf("report/as/%d", i), fmt.Sprintf("%q is not a statistic", as),
				suggest(as, []string{"mean", "min", "max", "last"}))
		case !number && s != bridge.Last:
			f.bad(fmt.Sprintf("report/as/%d", i), "the "+as+" of a "+r.TypeName, "only numbers have one: use last")
		}
		v.As = append(v.As, s)
	}
	return v
}

// reports finds points whose names the reports of others take.
func reports(fields []*point.Field, points map[string]Point) []setting.Problem {
	var problems []setting.Problem
	for _, r := range fields {
		if r.Delivery == nil || r.Delivery.Report == nil {
			continue
		}
		for _, s := range r.Delivery.Report.As {
			name := r.Name + "_" + string(s)
			if _, taken := points[name]; taken {
				problems = append(problems, setting.Problem{Path: []string{"points", name}, OnKey: true,
					Text: "the report of " + r.Name + " has this name", Fix: "rename one of them"})
			}
		}
	}
	return problems
}

// writable finds whether and how a point may be set.
func (f *finder) writable(r *point.Field, p Point) {
	if p.Writable == nil || p.Writable.no {
		return
	}
	w := p.Writable
	number := r.Kind != point.KindBool && r.Kind != point.KindString
	switch {
	case r.Table != wire.Coil && r.Table != wire.Holding:
		f.bad("writable", "a "+r.Table.String()+" cannot be written", "only coils and holding registers can: remove writable")
	case p.ScalePoint != "":
		f.bad("writable", "a point with a scale_point cannot be written", "its factor may change meanwhile: remove writable")
	}
	for _, k := range []struct {
		key   string
		given bool
	}{{"min", w.Min != nil}, {"max", w.Max != nil}, {"max_step", w.MaxStep != nil}} {
		if k.given && !number {
			f.bad("writable/"+k.key, k.key+" for a "+r.TypeName, "only numbers have "+k.key+": write writable: true")
		}
	}
	if w.Min != nil && w.Max != nil && w.Min.Float() > w.Max.Float() {
		f.bad("writable/min", "min is above max", "swap them")
	}
	if w.MaxStep != nil && w.MaxStep.Float() <= 0 {
		f.bad("writable/max_step", "no step is small enough", "use a number above 0")
	}
	r.Writable = &point.Writable{Min: w.Min, Max: w.Max, MaxStep: w.MaxStep, ReadModifyWrite: w.ReadModifyWrite}
	r.Scale, r.Offset = 1, 0
	if p.Scale != nil {
		r.Scale = p.Scale.Float()
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
