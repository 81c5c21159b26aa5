package payload

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/setting"
)

// clock reads the times of payloads.
type clock struct {
	place
	zone   *time.Location
	unit   int64  // nanoseconds of a number; 0 if times are text
	layout string // of text; "" is ISO 8601
	dsmr   bool   // YYMMDDhhmmss, with the season

	date, base   *place // of the date alone, and of what the time is counted from; nil is none
	step         time.Duration
	after, until string // between which the time is in a text
	belief
}

// newClock returns nil for nil.
func newClock(c *Time) (*clock, error) {
	if c == nil {
		return nil, nil
	}
	k := &clock{place: place{path: c.Path, column: c.Column}, belief: belief{ahead: maxAhead}}
	if c.MaxAge != nil {
		k.age = c.MaxAge.D()
	}
	if c.MaxAhead != nil {
		k.ahead = c.MaxAhead.D()
	}
	if c.DatePath != "" || c.DateColumn != 0 {
		k.date = &place{path: c.DatePath, column: c.DateColumn}
	}
	if c.Base != "" {
		k.base = &place{path: c.Base}
	}
	k.step, k.after, k.until = time.Duration(c.Step), c.After, c.Until
	var err error
	if k.zone, err = setting.Zone(c.Zone); err != nil {
		return nil, err
	}
	switch c.Format {
	case "", "iso8601":
	case "dsmr":
		if !Exact {
			return nil, errSmall
		}
		k.dsmr, k.layout = true, "060102150405"
	case "unix":
		k.unit = 1e9
	case "unix_ms":
		k.unit = 1e6
	case "unix_us":
		k.unit = 1e3
	case "unix_ns":
		k.unit = 1
	default:
		if !strings.Contains(c.Format, "2006") && !strings.Contains(c.Format, "06") {
			return nil, fmt.Errorf("%q is neither iso8601, unix, unix_ms, unix_us, unix_ns "+
				"nor a layout of Go's with the year as 2006", c.Format)
		}
		k.layout = c.Format
	}
	return k, nil
}

var errSmall = errors.New("this is the small build, which leaves it out: run the whole fieldbridge")

var errTime = errors.New("no time")

// isoLayouts are the forms of ISO 8601 that sensors use; fractions of a second
// are read with all of them.
var isoLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04", "20060102T150405Z0700", "20060102T150405",
}

// faultOf is why the time of an element is not taken.
func (k *clock) faultOf(e *element) Fault {
	if Exact {
		return k.explain(k.said(e))
	}
	return FaultTime
}

// faultIn is faultOf for a line of CSV.
func (k *clock) faultIn(fields []string) Fault {
	if Exact {
		return k.explain(k.saidIn(fields))
	}
	return FaultTime
}

// read returns the time that a text says which arrived at the time at.
func (k *clock) read(text string, at time.Time) (time.Time, error) {
	text = strings.Trim(text, " \t\r\n\x00")
	t, err := k.parse(text)
	if err != nil || !k.believes(t, at) {
		return time.Time{}, errTime
	}
	return t.UTC(), nil
}

func (k *clock) parse(text string) (time.Time, error) {
	if k.unit != 0 {
		return k.number(text)
	}
	if Exact && k.dsmr && len(text) == len(k.layout)+1 {
		season := map[byte]string{'S': "+0200", 'W': "+0100"}[text[len(k.layout)]]
		return time.Parse(k.layout+"-0700", text[:len(k.layout)]+season)
	}
	if k.layout != "" {
		return time.ParseInLocation(k.layout, text, k.zone)
	}
	for _, layout := range isoLayouts {
		if t, err := time.ParseInLocation(layout, text, k.zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errTime
}

// number reads a time as a number of units since 1970, exactly where float64
// would round: in all forms but 1.7e9.
func (k *clock) number(text string) (time.Time, error) {
	if strings.ContainsAny(text, "eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f >= 0 && f*float64(k.unit) < math.MaxInt64) {
			return time.Time{}, errTime
		}
		return time.Unix(0, int64(f*float64(k.unit))), nil
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/k.unit-1 {
		return time.Time{}, errTime
	}
	ns, unit := n*k.unit, k.unit
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return time.Time{}, errTime
		}
		unit /= 10
		ns += int64(c-'0') * unit
	}
	return time.Unix(0, ns), nil
}

// fromJSON returns the time in a payload; a payload without one has that of its
// arrival, at.
func (k *clock) fromJSON(r gjson.Result, at time.Time) (time.Time, error) {
	switch r.Type {
	case gjson.Null:
		return at, nil
	case gjson.String:
		return k.read(r.Str, at)
	case gjson.Number:
		return k.read(r.Raw, at)
	}
	return at, errTime
}

// ofElement is the time of an element: that which it says, with the date where that
// stands elsewhere, or counted from another one.
func (k *clock) ofElement(e *element, at time.Time) (time.Time, error) {
	found := e.get(k.place)
	if !Exact {
		return k.fromJSON(found, at)
	}
	switch {
	case k.base != nil:
		return k.counted(spoken(e.get(*k.base)), spoken(found), at)
	case found.Type == gjson.Null:
		return at, nil
	case k.date != nil:
		return k.read(k.said(e), at)
	}
	t, err := k.fromJSON(found, at)
	if err == nil && k.step != 0 {
		if t = t.Add(time.Duration(e.index) * k.step); !k.believes(t, at) {
			err = errTime
		}
	}
	return t, err
}

// said is the time of an element as it is written.
func (k *clock) said(e *element) string {
	text := spoken(e.get(k.place))
	if Exact && k.date != nil {
		text = spoken(e.get(*k.date)) + " " + text
	}
	return text
}

// saidIn is said of a line of CSV, "" if it says none.
func (k *clock) saidIn(fields []string) string {
	text := k.field(fields)
	if Exact && text != "" && k.date != nil {
		text = k.date.field(fields) + " " + text
	}
	return text
}

// absolute is where numbers of seconds begin that are a time, not a span: as SenML has it
// (RFC 8428, section 4.5.3).
const absolute = 1 << 28

// counted is a time that is counted from another one; from that of arrival, or 1970 if it
// is too large for a span, where there is none.
func (k *clock) counted(base, offset string, at time.Time) (time.Time, error) {
	t, f, err := at, 0.0, error(nil)
	if base != "" {
		t, err = k.parse(strings.TrimSpace(base))
	}
	if offset != "" && err == nil {
		f, err = strconv.ParseFloat(strings.TrimSpace(offset), 64)
	}
	if k.unit == 0 {
		f *= float64(time.Second)
	}
	f *= float64(max(k.unit, 1))
	if err != nil || !(math.Abs(f) < math.MaxInt64) {
		return time.Time{}, errTime
	}
	if base == "" && f >= absolute*1e9 {
		t = time.Unix(0, 0)
	}
	if t = t.Add(time.Duration(f)); !k.believes(t, at) {
		return time.Time{}, errTime
	}
	return t.UTC(), nil
}

// fromCSV is as fromJSON for the fields of a line.
func (k *clock) fromCSV(fields []string, at time.Time) (time.Time, error) {
	if field := k.saidIn(fields); field != "" {
		return k.read(field, at)
	}
	return at, nil
}
