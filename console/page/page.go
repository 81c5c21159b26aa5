package page

import (
	"slices"
	"strings"
	"time"

	"fieldbridge/condition"
	"fieldbridge/order"
)

// What is told at most, so that the page stays one that a person reads and a phone
// can show. The filter finds the others.
const (
	mostDevices  = 1000
	mostOpen     = 120 // points, beyond which well devices are one line each
	mostInLine   = 3   // values of a device that is one line
	mostTroubled = 20  // devices with bad points that are shown in full nevertheless
	mostEvents   = 20
	mostRefused  = 20
)

// Ask is what a reader asked for.
type Ask struct {
	Language Language
	Up       int    // folders from the page back to where the console begins
	Device   string // the one that the page is about; "" for all
	Find     string // words that a device must have
	User     string // who is logged in; "" where nobody has to
}

// view is what a page shows.
type view struct {
	*State
	Ask       Ask
	Headline  Headline
	Summary   string
	Delivered string
	Room      string
	Wrong     []condition.Condition
	Shown     []shown
	Left      int           // devices that match and are not shown
	Expires   time.Duration // of our certificate
	Course    time.Duration // how far back sparklines go
}

// shown is a device on the page.
type shown struct {
	Device
	Open  bool // its points are rows
	Rows  []row
	Extra int // points that its one line leaves out
	Level string
}

// Idle reports whether nothing came from the device since the start, good or bad: it is
// remembered from before, and nobody knows how it is.
func (d *Device) Idle() bool { return d.Good == 0 && d.Bad == 0 && d.Last.IsZero() }

// row is a point on the page.
type row struct {
	Point
	Short string // the value, or the last good one, for a glance
	Full  string
	Spark Spark
}

// Write returns the page as HTML; s is its own from then on. points returns the points
// of a device: it is called for each that is shown.
func Write(s *State, ask Ask, points func(device string) []Point) []byte {
	l := ask.Language
	v := view{State: s, Ask: ask, Headline: l.headline(s), Summary: l.summary(s), Delivered: l.delivered(s),
		Room: l.room(s), Wrong: sorted(s.Conditions)}
	if s.Link.Own != nil {
		v.Expires = s.Link.Own.Expires.Sub(s.Now)
	}
	s.Events, s.Refused = s.Events[:min(len(s.Events), mostEvents)], s.Refused[:min(len(s.Refused), mostRefused)]
	v.Course = course(s)
	v.Shown, v.Left = arrange(find(s.Devices, ask), ask, points, int(v.Course/max(s.Step, time.Second)))
	h := sheet{view: &v, l: l}
	h.whole()
	return h.Bytes()
}

// Sparklines go back an hour, and less while the gateway has not run so long: at a
// cabinet people look at the first minutes.
const (
	courseLeast = 10 * time.Minute
	courseMost  = time.Hour
)

func course(s *State) time.Duration {
	return min(max(s.Now.Sub(s.Started).Round(5*time.Minute), courseLeast), courseMost)
}

// find returns the devices that a reader asked for, troubled ones first, then as
// people sort names.
func find(all []Device, ask Ask) []Device {
	words := strings.Fields(strings.ToLower(ask.Find))
	var found []Device
	for _, d := range all {
		text := strings.ToLower(strings.Join([]string{d.Device, d.Original, d.Via, d.Reason, d.Detail}, " "))
		if ask.Device != "" && d.Device != ask.Device ||
			slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			continue
		}
		found = append(found, d)
	}
	order.By(found, func(a, b Device) int {
		if a.Bad > 0 != (b.Bad > 0) {
			if a.Bad > 0 {
				return -1
			}
			return 1
		}
		return natural(a.DeviceStatus.Device, b.DeviceStatus.Device)
	})
	return found
}

// arrange chooses which devices are shown with a row for each point, and with the last
// steps of its course.
func arrange(devices []Device, ask Ask, points func(string) []Point, steps int) (all []shown, left int) {
	left = max(0, len(devices)-mostDevices)
	total := 0
	for _, d := range devices {
		total += d.Good + d.Bad
	}
	troubled := 0
	for _, d := range devices[:len(devices)-left] {
		s := shown{Device: d, Level: "well", Open: total <= mostOpen || ask.Device != ""}
		if d.Bad > 0 {
			s.Level = "look"
			troubled++
			s.Open = s.Open || troubled <= mostTroubled
		} else if d.Idle() {
			s.Level = "idle"
		}
		s.Points = points(d.DeviceStatus.Device)
		for _, p := range s.Points {
			if !s.Open && len(s.Rows) == mostInLine {
				s.Extra = len(s.Points) - mostInLine
				break
			}
			r := row{Point: p, Full: p.Text}
			if p.Bad != "" {
				r.Full = p.LastGood
			}
			if r.Short = short(r.Full); s.Open {
				r.Spark = spark(p.Course[len(p.Course)-min(steps, len(p.Course)):])
			}
			s.Rows = append(s.Rows, r)
		}
		all = append(all, s)
	}
	return all, left
}
