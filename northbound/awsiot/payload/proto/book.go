package proto

import (
	"hash/fnv"
	"maps"
	"slices"
)

// Point is a point of a [Sheet]: what has its number.
type Point struct {
	Name string
	Kind Kind
	// Places is how many digits of a value of [Uint] or [Int] stand after the point.
	Places uint8
}

// Sheet is points of one device that come together. Its points are numbered from 1,
// and each has a place in the list of its kind, from 0. It does not change.
type Sheet struct {
	Number uint32
	Device string
	Points []Point
	places []uint16 // in the lists of their kinds, by point
	hash   uint32
}

// NewSheet returns a sheet. It keeps points.
func NewSheet(number uint32, device string, points []Point) *Sheet {
	s := &Sheet{Number: number, Device: device, Points: points, places: make([]uint16, len(points))}
	var counts [256]uint16
	for i := range points {
		list := listOf(points[i].Kind)
		s.places[i] = counts[list]
		counts[list]++
	}
	h := fnv.New32a()
	_, _ = h.Write(s.Append(nil)) // it never fails
	s.hash = h.Sum32()
	return s
}

// listOf returns the kind whose list has the values of k.
func listOf(k Kind) Kind {
	if k == Digits {
		return Text
	}
	return k
}

// Place returns where the values of the point with number n stand in their list,
// from 0: of a Bool, the bit.
func (s *Sheet) Place(n int) int { return int(s.places[n-1]) }

const (
	// MostSheets is how many sheets a book has at most. The numbers above are of sheets
	// that a message brings itself.
	MostSheets = 1<<14 - 1
	// mostSheet is how many bytes a sheet takes at most where it is kept: a value of a
	// [bridge.State] has 64 KiB.
	mostSheet = 60 << 10
)

// Book is all sheets of a gateway. It does not change, so all may read it: [Book.Add]
// returns another. The zero value is empty.
type Book struct {
	sheets  []*Sheet // number n is sheets[n-1]
	devices map[string]*shelf
	hash    uint32
}

// shelf is the sheets of a device.
type shelf struct {
	sheets []*Sheet
	points map[string]spot
}

// spot is where a point is.
type spot struct {
	sheet int // of the shelf
	n     int // from 1
}

var noShelf shelf

func (b *Book) shelf(device string) *shelf {
	if b != nil {
		if s := b.devices[device]; s != nil {
			return s
		}
	}
	return &noShelf
}

// NewBook returns a book of sheets that have the numbers from 1.
func NewBook(sheets []*Sheet) *Book {
	b := &Book{sheets: sheets, devices: make(map[string]*shelf)}
	for _, s := range sheets {
		b.put(s)
	}
	return b
}

// put makes s found by its device.
func (b *Book) put(s *Sheet) {
	old := b.shelf(s.Device)
	fresh := &shelf{sheets: slices.Clone(old.sheets), points: make(map[string]spot, len(old.points)+len(s.Points))}
	at := slices.IndexFunc(fresh.sheets, func(o *Sheet) bool { return o.Number == s.Number })
	if at < 0 {
		at = len(fresh.sheets)
		fresh.sheets = append(fresh.sheets, s)
	}
	b.hash ^= s.hash
	if at < len(old.sheets) {
		b.hash ^= old.sheets[at].hash
	}
	fresh.sheets[at] = s
	for i, sheet := range fresh.sheets {
		for n := range sheet.Points {
			fresh.points[sheet.Points[n].Name] = spot{i, n + 1}
		}
	}
	b.devices[s.Device] = fresh
}

// Hash tells this book from others: the FNV-1a hashes of its sheets, exclusive-ored; 0 is
// an empty one.
func (b *Book) Hash() uint32 {
	switch {
	case b.Len() == 0:
		return 0
	case b.hash == 0:
		return 1
	}
	return b.hash
}

// Len returns how many sheets there are.
func (b *Book) Len() int {
	if b == nil {
		return 0
	}
	return len(b.sheets)
}

// Sheet returns the sheet with a number, nil if there is none.
func (b *Book) Sheet(number uint32) *Sheet {
	if number == 0 || int(number) > b.Len() {
		return nil
	}
	return b.sheets[number-1]
}

// Sheets returns the sheets of a device. They are read-only.
func (b *Book) Sheets(device string) []*Sheet { return b.shelf(device).sheets }

// Points returns how many points of a device have a number.
func (b *Book) Points(device string) int { return len(b.shelf(device).points) }

// Devices returns the devices that have sheets, sorted.
func (b *Book) Devices() []string {
	if b == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(b.devices))
}

// Numbered reports whether a point of a device has a number.
func (b *Book) Numbered(device, point string) bool {
	_, ok := b.shelf(device).points[point]
	return ok
}

// Add gives numbers to points of a device that have none and come together, with
// neighbours that have one already. It returns the book with them, and the sheets
// that are new or have grown; without a number left for a sheet, b itself.
func (b *Book) Add(device string, points []Point, neighbours []string) (*Book, []*Sheet) {
	if b == nil {
		b = new(Book)
	}
	next := &Book{sheets: slices.Clone(b.sheets), devices: make(map[string]*shelf, len(b.devices)+1), hash: b.hash}
	for name, s := range b.devices {
		next.devices[name] = s
	}
	var changed []*Sheet
	for len(points) > 0 {
		var s *Sheet
		if home := next.home(device, neighbours); home != nil {
			n := within(points, home.space())
			s = NewSheet(home.Number, device, slices.Concat(home.Points, points[:n]))
			points, neighbours = points[n:], nil
		} else {
			if len(next.sheets) == MostSheets {
				break
			}
			n := within(points, mostSheet)
			next.sheets = append(next.sheets, nil)
			s = NewSheet(uint32(len(next.sheets)), device, slices.Clone(points[:n]))
			points = points[n:]
		}
		next.sheets[s.Number-1] = s
		next.put(s)
		changed = append(changed, s)
	}
	if changed == nil {
		return b, nil
	}
	return next, changed
}

// pointSize is what a point takes of a sheet, and mostPoint what it does at most.
func pointSize(p *Point) int { return textSize(p.Name) + 2 }

const mostPoint = 2 + 64 + 2

// space returns the bytes that s has left.
func (s *Sheet) space() int {
	n := mostSheet
	for i := range s.Points {
		n -= pointSize(&s.Points[i])
	}
	return n
}

// within returns how many of points, from the first, take no more than n bytes.
func within(points []Point, n int) int {
	for i := range points {
		if n -= pointSize(&points[i]); n < 0 {
			return i
		}
	}
	return len(points)
}

// home returns the sheet that new points of a device belong to: the one that has most
// of their neighbours, if those are most of it and there is space.
func (b *Book) home(device string, neighbours []string) *Sheet {
	s := b.shelf(device)
	counts := make([]int, len(s.sheets))
	for _, name := range neighbours {
		if spot, ok := s.points[name]; ok {
			counts[spot.sheet]++
		}
	}
	for i, n := range counts {
		if s := s.sheets[i]; 2*n > len(s.Points) && s.space() > mostPoint && n == slices.Max(counts) {
			return s
		}
	}
	return nil
}

// Append appends s as a message Sheet: how a message brings it, and how it is kept.
func (s *Sheet) Append(b []byte) []byte {
	b = appendUintField(b, sheetNumber, uint64(s.Number))
	b = appendText(b, sheetDevice, s.Device)
	lists, places, scaled := make([]byte, len(s.Points)), make([]byte, len(s.Points)), false
	for i := range s.Points {
		p := &s.Points[i]
		b = appendText(b, sheetNames, p.Name)
		lists[i], places[i] = byte(p.Kind), p.Places
		scaled = scaled || p.Places > 0
	}
	b = appendBytesField(b, sheetLists, lists)
	if scaled {
		b = appendBytesField(b, sheetPlaces, places)
	}
	return b
}
