package mqtt

import (
	"encoding/csv"
	"strings"

	"fieldbridge/bridge"
)

// readCSV returns those of the rule's points that the first line of a payload
// has. Fields are separated by commas, or by semicolons if there is one: where
// the comma is in numbers, semicolons separate.
func (r *rule) readCSV(m message) (result, fault) {
	reader := csv.NewReader(strings.NewReader(jsonText(m.payload)))
	reader.FieldsPerRecord = -1
	reader.TrimLeadingSpace = true
	reader.ReuseRecord = true
	if line, _, _ := strings.Cut(jsonText(m.payload), "\n"); strings.Contains(line, ";") {
		reader.Comma = ';'
	}
	fields, err := reader.Read()
	if err != nil {
		return result{}, faultCSV
	}
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
