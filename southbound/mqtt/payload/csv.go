package payload

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// maxLines is how many lines of one payload are read.
const maxLines = 1000

// ReadLines returns those of the rule's points that the lines of a payload have,
// one result for each line. Fields are separated by commas, or by semicolons if
// there is one in the first line: where the comma is in numbers, semicolons
// separate. A line that cannot be read hurts no other.
func (r *Rule) ReadLines(payload []byte, at time.Time) ([]Result, Fault) {
	if len(payload) == 0 {
		return nil, FaultEmpty
	}
	return r.readLines(payload, at, nil)
}

// readLines is ReadLines; names is for a rule whose lines name their devices.
func (r *Rule) readLines(payload []byte, at time.Time, names Names) ([]Result, Fault) {
	text := topic.View(trim(payload))
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	reader.TrimLeadingSpace = true
	reader.ReuseRecord = true
	if line, _, _ := strings.Cut(text, "\n"); strings.Contains(line, ";") {
		reader.Comma = ';'
	}
	var all []Result
	worst, some := FaultNone, false
	for line := 0; ; line++ {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if line >= r.skip+maxLines {
			worst = FaultLines
			break
		}
		if line < r.skip {
			continue
		}
		some = true
		if err != nil {
			worst = FaultCSV
			continue
		}
		out, f := r.readLine(fields, at)
		if r.device != nil && len(out.Readings) > 0 {
			if out.Device = r.deviceOf(names, func(p place) string { return p.field(fields) }); out.Device == "" {
				worst = FaultName
				continue
			}
		}
		if f != FaultNone {
			worst = f
		}
		if len(out.Readings) > 0 {
			all = append(all, out)
		}
	}
	if !some {
		worst = FaultCSV // not even one line
	}
	return all, worst
}

// readLine returns those of the rule's points that a line has.
func (r *Rule) readLine(fields []string, at time.Time) (Result, Fault) {
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	worst := FaultNone
	for i := range r.points {
		p := &r.points[i]
		if field := p.field(fields); field != "" { // nothing between two commas: absent
			out.add(p, p.value(field), &worst)
		}
	}
	if r.clock != nil && !out.stamp(r.clock.fromCSV(fields, at)) {
		worst = FaultTime
	}
	return out.checked(worst)
}

// field returns what is at a place of a line, "" if nothing is.
func (p place) field(fields []string) string {
	if p.column > len(fields) {
		return ""
	}
	return fields[p.column-1]
}
