package payload

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// maxLines is how many lines of one payload are read.
const maxLines = 1000

// readLines returns those of the rule's points that the lines of a payload have,
// one result for each. A line that cannot be read hurts no other. names is for a rule whose lines
// name their devices.
func (r *Rule) readLines(payload []byte, at time.Time, names Names) (all []Result, f Fault, where string) {
	text := topic.View(trim(payload))
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	reader.ReuseRecord = true
	line, _, _ := strings.Cut(text, "\n")
	reader.Comma = r.separator(line)
	reader.TrimLeadingSpace = reader.Comma != '\t' // or an empty field is no field
	var b blamer
	some := false
	for n := 0; ; n++ {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if n >= r.skip+maxLines {
			b.worst, b.where = FaultLines, ""
			break
		}
		if n < r.skip {
			continue
		}
		some = true
		if err != nil {
			b.blame(FaultCSV, brokenLine(err))
			continue
		}
		out := r.readLine(fields, at)
		if len(out.Readings) == 0 {
			b.blame(FaultMissing, lineOf(reader))
			continue
		}
		b.blame(out.Fault, lineOf(reader))
		if r.device != nil {
			if out.Device = r.deviceOf(names, func(p place) string { return p.field(fields) }); out.Device == "" {
				b.blame(FaultName, lineOf(reader))
				continue
			}
		}
		all = append(all, out)
	}
	if !some {
		b.blame(FaultCSV, "") // not even one line
	}
	return all, b.worst, b.where
}

// separator is what stands between the fields, by the first line: semicolons, where
// the comma is in numbers, commas, tabs or bars. Spaces separate if nothing else does
// and the rule wants more than one field.
func (r *Rule) separator(line string) rune {
	if !Exact {
		if strings.Contains(line, ";") {
			return ';'
		}
		return ','
	}
	for _, c := range ";,\t|" {
		if strings.ContainsRune(line, c) {
			return c
		}
	}
	if slices.ContainsFunc(r.points, func(p extract) bool { return p.column > 1 }) {
		return ' '
	}
	return ','
}

// lineOf is which line of the payload was read last, for people.
func lineOf(reader *csv.Reader) string {
	if !Exact {
		return ""
	}
	n, _ := reader.FieldPos(0)
	return fmt.Sprint("line ", n)
}

// brokenLine is where a line begins that cannot be read.
func brokenLine(err error) string {
	if Exact {
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			return fmt.Sprint("line ", p.StartLine)
		}
	}
	return ""
}

// readLine returns those of the rule's points that a line has.
func (r *Rule) readLine(fields []string, at time.Time) Result {
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		field, ok := p.cut(p.field(fields))
		if field == "" || !ok { // nothing between two commas: absent
			continue
		}
		v := p.value(field)
		f := ValueFault(v)
		if Exact && f == FaultType {
			f = p.explain(p.field(fields))
		}
		out.blame(f, p.info.Name)
		out.Readings = append(out.Readings, bridge.Reading{Point: p.info.Name, Value: v})
	}
	if Exact && r.good != nil {
		if text := r.good.field(fields); text != "" && !r.good.words.Has(text) {
			out.spoil()
		}
	}
	if r.clock != nil && !out.stamp(r.clock.fromCSV(fields, at)) {
		out.Fault, out.Point = r.clock.faultIn(fields), ""
	}
	return out
}

// field returns what is at a place of a line, "" if nothing is.
func (p place) field(fields []string) string {
	if p.column > len(fields) {
		return ""
	}
	return fields[p.column-1]
}
