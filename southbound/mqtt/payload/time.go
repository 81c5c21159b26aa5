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
	var err error
	if k.zone, err = setting.Zone(c.Zone); err != nil {
		return nil, err
	}
	switch c.Format {
	case "", "iso8601":
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

var errTime = errors.New("no time")

// isoLayouts are the forms of ISO 8601 that sensors use; fractions of a second
// are read with all of them.
var isoLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04", "20060102T150405Z0700", "20060102T150405",
}

// fault is why the time that a text says is not taken.
func (k *clock) fault(text string) Fault {
	if exact {
		return k.explain(text)
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

// fromCSV is as fromJSON for the fields of a line.
func (k *clock) fromCSV(fields []string, at time.Time) (time.Time, error) {
	if field := k.field(fields); field != "" {
		return k.read(field, at)
	}
	return at, nil
}
