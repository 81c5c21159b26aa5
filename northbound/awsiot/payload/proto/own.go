package proto

import "fieldbridge/bridge"

// none is the kind of a point of a message's own sheet that has no value in it.
const none Kind = '-'

// sheets are those that a message brings.
type sheets struct {
	own        []*ownSheet // used ones are own[:used]
	used       int
	size, json int
	marked     struct{ used, size, json int }
}

// ownSheet is a sheet of one message, with what has no number or does not fit there.
type ownSheet struct {
	number uint32
	device string
	points []Point
	index  map[Point]int // from 1
	marked int
}

func (s *sheets) reset() {
	s.used, s.size, s.json = 0, 0, 0
}

func (s *sheets) mark() {
	s.marked.used, s.marked.size, s.marked.json = s.used, s.size, s.json
	for _, o := range s.own[:s.used] {
		o.marked = len(o.points)
	}
}

func (s *sheets) rollback() {
	s.used, s.size, s.json = s.marked.used, s.marked.size, s.marked.json
	for _, o := range s.own[:s.used] {
		for _, p := range o.points[o.marked:] {
			delete(o.index, p)
		}
		o.points = o.points[:o.marked]
	}
}

// open counts a sheet without its points, with the headers of its lists at their
// longest, and point a point of it.
func (s *sheets) open(device string) {
	s.size += len("TLLL") + len("NNNNN") + textSize(device) + 2*len("TLLL")
	s.json += len(`{"sheet":1234567,"device":"","names":[],"lists":"","places":[]},`) + len(device)
}

func (s *sheets) point(name string) {
	s.size += textSize(name) + 2
	s.json += len(`"",u9,`) + len(name)
}

// of returns the message's own sheet of a device.
func (s *sheets) of(device string) *ownSheet {
	for _, o := range s.own[:s.used] {
		if o.device == device {
			return o
		}
	}
	if s.used == len(s.own) {
		s.own = append(s.own, &ownSheet{number: MostSheets + 1 + uint32(s.used), index: make(map[Point]int)})
	}
	o := s.own[s.used]
	s.used++
	o.device, o.points = device, o.points[:0]
	clear(o.index)
	s.open(device)
	return o
}

// number returns the number of a point of the sheet, which gets one.
func (s *sheets) number(o *ownSheet, p Point) int {
	if n := o.index[p]; n > 0 {
		return n
	}
	o.points = append(o.points, p)
	o.index[p] = len(o.points)
	s.point(p.Name)
	return len(o.points)
}

// append writes the sheets.
func (s *sheets) append(b []byte) []byte {
	var body []byte
	for _, o := range s.own[:s.used] {
		body = (&Sheet{Number: o.number, Device: o.device, Points: o.points}).Append(body[:0])
		b = appendText(b, readingsSheets, body)
	}
	return b
}

// points returns the points of a sheet of the book or of the message.
func (p *Packer) points(sheet uint32) []Point {
	if sheet > MostSheets {
		return p.sheets.own[sheet-MostSheets-1].points
	}
	return p.book.Sheet(sheet).Points
}

// place returns where a reading stands: by its number, or in the message's own
// sheet.
func (p *Packer) place(shelf *shelf, device string, r *bridge.Reading) (sheet uint32, n int) {
	if spot, ok := shelf.points[r.Point]; ok {
		s := shelf.sheets[spot.sheet]
		if !r.Value.Good() || s.Points[spot.n-1].holds(r.Value) {
			return s.Number, spot.n
		}
	}
	own := p.sheets.of(device)
	point := Point{Name: r.Point, Kind: none}
	if r.Value.Good() {
		point = PointFor(r.Point, r.Value, Hint{Places: -1})
	}
	return own.number, p.sheets.number(own, point)
}
