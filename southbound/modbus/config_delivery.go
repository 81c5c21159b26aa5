package modbus

import (
	"fmt"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
)

// Deadband is by how much a number must differ from the one delivered last:
// 0.2, or 1% of it.
type Deadband struct {
	Value   bridge.Decimal
	Percent bool
}

// UnmarshalText reads 0.2 or 1%.
func (d *Deadband) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	var v bridge.Decimal
	if err := v.UnmarshalText([]byte(strings.TrimSpace(number))); err != nil || v.Coef < 0 {
		return fmt.Errorf("%q is no deadband: write a number that is not negative, as 0.2, or a percentage, as 1%%", text)
	}
	*d = Deadband{v, percent}
	return nil
}

// Report delivers, instead of readings, what they were like over a time, as
// points of their own: load_mean, load_max.
type Report struct {
	// Every is the time that one report is about, aligned to the wall clock.
	Every setting.Duration `yaml:"every"`
	// As says what of it: mean, min, max, last.
	As []string `yaml:"as"`
}

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
			f.bad(fmt.Sprintf("report/as/%d", i), fmt.Sprintf("%q is no statistic", as),
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
