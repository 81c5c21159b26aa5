package setup

import (
	"fmt"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
)

// delivery finds when the readings of a point are delivered; nil is each one.
func (f *finder) delivery(r *point.Field, p Point, d Device) *bridge.Delivery {
	onChange := d.OnChange
	if p.OnChange != nil {
		onChange = *p.OnChange
	}
	number := isNumber(r)
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

// thin finds what may become of readings that wait; nil is nothing.
func (f *finder) thin(r *point.Field, p Point, d Device) *bridge.Thin {
	if r.Delivery != nil && r.Delivery.Report != nil {
		if p.Thin != nil {
			f.bad("thin", "a report's readings are aggregates already", "remove thin or report")
		}
		return nil
	}
	t := p.Thin
	if t == nil {
		t = d.Thin.Of(r.Name, r.Unit)
	} else {
		for _, x := range t.Forbids(r.Name, r.Unit) {
			f.bad(strings.Join(append([]string{"thin"}, x.Path...), "/"), x.Text, x.Fix)
		}
	}
	if t == nil {
		return nil
	}
	return bridge.NewThin(t.Spans(), t.Kept())
}

// aggregates finds points whose names the aggregates of others would take. What has its
// thin from the device is not thinned then.
func aggregates(fields []*point.Field, points map[string]Point) []setting.Problem {
	var problems []setting.Problem
	for _, r := range fields {
		if r.Thin == nil {
			continue
		}
		for _, name := range r.Thin.Names(r.Name) {
			if _, taken := points[name]; !taken {
				continue
			}
			if points[r.Name].Thin == nil {
				r.Thin = nil
				break
			}
			problems = append(problems, setting.Problem{Path: []string{"points", name}, OnKey: true,
				Text: "an aggregate of " + r.Name + ", which has thin, would have this name",
				Fix:  "rename one of them, or thin: off"})
		}
	}
	return problems
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
