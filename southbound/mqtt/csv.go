package mqtt

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"fieldbridge/bridge"
)

// maxLines is how many lines of one payload are read.
const maxLines = 1000

// readCSV returns those of the rule's points that the lines of a payload have,
// one result for each line. Fields are separated by commas, or by semicolons if
// there is one in the first line: where the comma is in numbers, semicolons
// separate. A line that can't be read hurts no other.
func (r *rule) readCSV(m message) ([]result, fault) {
	text := jsonText(m.payload)
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	reader.TrimLeadingSpace = true
	reader.ReuseRecord = true
	if line, _, _ := strings.Cut(text, "\n"); strings.Contains(line, ";") {
		reader.Comma = ';'
	}
	var all []result
	worst, some := faultNone, false
	for line := 0; ; line++ {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if line >= r.config.SkipLines+maxLines {
			worst = faultLines
			break
		}
		if line < r.config.SkipLines {
			continue
		}
		some = true
		if err != nil {
			worst = faultCSV
			continue
		}
		out, f := r.readLine(fields, m)
		if f != faultNone {
			worst = f
		}
		if len(out.readings) > 0 {
			all = append(all, out)
		}
	}
	if !some {
		worst = faultCSV // not even one line
	}
	return all, worst
}

// readLine returns those of the rule's points that a line has.
func (r *rule) readLine(fields []string, m message) (result, fault) {
	out := result{at: m.at, readings: make([]bridge.Reading, 0, len(r.points))}
	worst := faultNone
	for i := range r.points {
		p := &r.points[i]
		if p.column > len(fields) || fields[p.column-1] == "" {
			continue // nothing between two commas: absent
		}
		out.add(p, p.value(fields[p.column-1]), &worst)
	}
	if r.clock != nil && !out.stamp(r.clock.fromCSV(fields, m.at)) {
		worst = faultTime
	}
	return out.checked(worst)
}
