package poll

import (
	"encoding/binary"
	"time"

	"fieldbridge/southbound/modbus/plan"
)

// survey is the walk of a SunSpec device's list of models, a request at a time,
// between the requests of others. It is made before the first cycle, after the
// device was away (another may be in its place), daily, and soon where a model
// is missing or an address is refused.
type survey struct {
	wanted bool      // some points are in models
	next   time.Time // when to walk; zero is at once
	last   time.Time // when it was walked
	at     int       // index of the base that is tried
	tried  int       // a bit for each base where there is no list
	head   int       // where the next model's id is; 0 while the list is looked for
	found  []plan.SunSpecModel
}

// surveyPause is the least time between two walks of a device that answers.
const surveyPause = 10 * time.Minute

// due reports whether the list is to be walked now.
func (s *survey) due(now time.Time) bool { return s.wanted && !now.Before(s.next) }

// renew has the list walked anew, from its beginning.
func (s *survey) renew() { s.next, s.found, s.head, s.tried = time.Time{}, nil, 0, 0 }

// doubt has the list walked anew when it was not of late: an address in it was
// refused.
func (s *survey) doubt(now time.Time) {
	if again := s.last.Add(surveyPause); again.Before(s.next) {
		s.next = again
		if again.Before(now) {
			s.renew()
		}
	}
}

// base returns where the list is looked for.
func (s *survey) base() int { return plan.SunSpecBases[s.at] }

// address returns where the next two registers to read are.
func (s *survey) address() int {
	if s.head == 0 {
		return s.base()
	}
	return s.head
}

// silent notes that a device did not answer: it may be so at one base only.
func (s *survey) silent() {
	if s.wanted && s.head == 0 {
		s.at = (s.at + 1) % len(plan.SunSpecBases)
	}
}

// take notes what was read at the address, nil if that was refused, and reports
// whether the walk is over.
func (s *survey) take(data []byte) (over bool) {
	switch {
	case s.head == 0 && data != nil && binary.BigEndian.Uint32(data) == plan.SunSpecMark:
		s.head, s.found = s.base()+2, []plan.SunSpecModel{}
		return false
	case s.head == 0:
		s.tried |= 1 << s.at
		s.at = (s.at + 1) % len(plan.SunSpecBases)
		return s.tried == 1<<len(plan.SunSpecBases)-1
	case data != nil && binary.BigEndian.Uint16(data) != plan.SunSpecEnd:
		m := plan.SunSpecModel{ID: int(binary.BigEndian.Uint16(data)), Address: s.head,
			Length: int(binary.BigEndian.Uint16(data[2:]))}
		s.found = append(s.found, m)
		s.head += 2 + m.Length
		return s.head+2 > 1<<16 || len(s.found) >= plan.SunSpecMost
	}
	return true
}
