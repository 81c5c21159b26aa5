package payload

import (
	"errors"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// The formats of payloads.
const (
	JSON      = "json"
	CSV       = "csv"
	CBOR      = "cbor"    // read as the JSON that it could be
	Msgpack   = "msgpack" // so, too
	Bytes     = "bytes"
	PlainText = "text"
	Sparkplug = "sparkplug-b" // read by package sparkplug
)

// Settings say how the payloads of a rule are read.
type Settings struct {
	Format    string // one of the formats; "" is JSON if there are points
	SkipLines int    // at the top of CSV
	Time      *Time  // nil: the time of arrival
	Each      string // path to the elements of JSON; "" is the payload as a whole
	ThenEach  string // path to those of each element, which are meant instead; "" is none
	Quality   *Quality
	Points    Points // none: the whole payload is one value
	Path      string // of the value, or of what has all points; "" is the whole
	// Device and Point are where in the payload, or in each element or line of it,
	// the parts of names are that it says itself. Point is for one value.
	Device, Point []string
	Value         // of that, or the defaults of all points
}

// Points are the points of a sensor by name, or all that a payload has.
type Points map[string]Point

// everything is the key of Points that stands for all; it cannot name a point.
const everything = "*"

// UnmarshalText reads the word all.
func (p *Points) UnmarshalText(text []byte) error {
	if string(text) != "all" {
		return errPoints
	}
	*p = AllPoints()
	return nil
}

// AllPoints returns the points that the word all stands for.
func AllPoints() Points { return Points{everything: {all: true}} }

var errPoints = errors.New("points is a map of names, or the word all")

// All reports whether p is the word all.
func (p Points) All() bool { return p[everything].all }

// Point is one value of a payload.
type Point struct {
	// Path is where the value is in the JSON, as GJSON writes paths: a.b, a.0,
	// a\.b for a key with a dot. With each it is counted from the element; $. before
	// it counts from the whole payload.
	Path string `yaml:"path"`
	// Column is where the value is in the CSV, counted from 1.
	Column int `yaml:"column"`
	// UnitPath is where the payload says its unit, as TempUnit of Tasmota: while it is
	// another than unit, the point is bad.
	UnitPath string `yaml:"unit_path"`
	// Encoding is how the text at path stands for bytes: base64 or hex. The value is
	// in them, or with format: bytes in the payload itself: type float64 (default),
	// float32, int8 to int64, int24, uint8 to uint64, uint24, bool or string.
	Encoding string `yaml:"encoding"`
	// At is the first byte of the value, from 0. Where the bytes are too few the
	// payload does not have the value.
	At int `yaml:"at"`
	// Order is where the bytes of the number are, A being the most significant: BA or
	// DCBA for what is written least significant first. The default is ABCD.
	Order string `yaml:"order"`
	// Bit is one bit of the number, 0 the least significant. It is a bool.
	Bit *int `yaml:"bit"`
	// Bits are some bits of the number, as 0-11. They are uint64, or with a sign int64.
	Bits string `yaml:"bits"`
	// Length is how long a string is, in bytes; the default is up to the end, or a zero.
	Length int `yaml:"length"`
	// Value says how it is read.
	Value
	all bool // of Points
}

// Value says how a value is read, and which readings are delivered.
type Value struct {
	// Type is what the value is: float64 (default), float32, int8 to int64,
	// uint8 to uint64, bool, string, or any: what each value is written as.
	Type string `yaml:"type"`
	// Invalid are the texts and numbers by which the sensor says that it has no value,
	// as [-127, 85] or "ERR", before scale and offset; the point is then bad
	// (sentinel).
	Invalid Words `yaml:"invalid"`
	// After is the text behind which the value begins, as "T=" in "T=21.5;H=45".
	// Where it is missing, so is the value.
	After string `yaml:"after"`
	// Until is the text at which the value ends. Without it the value ends with the
	// line.
	Until string `yaml:"until"`
	// Unit is the engineering unit, as "°C". A text with a number and this unit
	// behind it, as 21.5 °C, is the number; with another unit it is bad.
	Unit string `yaml:"unit"`
	// Decimal is what stands before the fraction in numbers that are written as
	// text: "." or ",". The other one, a space or an apostrophe may then stand
	// between thousands. Without it a point is before the fraction, or a comma
	// where points are between the thousands, and 1,234 is bad: it may be either.
	Decimal string `yaml:"decimal"`
	// Scale is what the number is multiplied by, exactly as decimals.
	Scale *bridge.Decimal `yaml:"scale"`
	// Offset is added to the scaled number.
	Offset *bridge.Decimal `yaml:"offset"`
	// Enum names the numbers that an integer may be; any other is bad. The
	// payload may have the number or its name. The cloud gets the number, and
	// the names in the catalogue.
	Enum map[int64]string `yaml:"enum"`
	// TrueWhen lists the texts that a bool is true for; the default is 1, true,
	// on and yes in any case.
	TrueWhen []string `yaml:"true_when"`
	// FalseWhen lists the texts that a bool is false for; the default is 0,
	// false, off and no in any case. Any other text is bad.
	FalseWhen []string `yaml:"false_when"`
	// OnChange delivers a reading only when its value has changed.
	OnChange *bool `yaml:"on_change"`
	// Heartbeat delivers an unchanged value so often nevertheless; the default
	// is 15m. Bad points are delivered every 5m.
	Heartbeat *setting.Duration `yaml:"heartbeat"`
	// Deadband delivers a number only when it changed by so much, as 0.2 or 1%.
	Deadband *setting.Deadband `yaml:"deadband"`
	// Report delivers what the readings of a time were like instead of each.
	Report *setting.Report `yaml:"report"`
	// Thin lets readings that wait become aggregates before any are dropped for want of
	// room; off keeps a point from it. A sensor's is that of its points, but for those that
	// count up or have a report.
	Thin *setting.Thin `yaml:"thin"`
}

// Time is where a payload says when its values were read.
type Time struct {
	// Path is where the time is in the JSON. With each it is counted from the
	// element; $. before it counts from the whole payload.
	Path string `yaml:"path"`
	// Column is where the time is in the CSV, counted from 1.
	Column int `yaml:"column"`
	// DatePath is where the date is in the JSON, if path has the time of day alone. They
	// are read with a space between them.
	DatePath string `yaml:"date_path"`
	// DateColumn is where the date is in the CSV, if column has the time of day alone.
	DateColumn int `yaml:"date_column"`
	// After is the text behind which the time begins, with format: text.
	After string `yaml:"after"`
	// Until is the text at which the time ends. Without it the time ends with the line.
	Until string `yaml:"until"`
	// Base is where in the JSON the time is that the element's own is counted from, as
	// $.start. The element's own is a number then, of seconds, or what format says; 0
	// where it has none. Where nothing is at base it is counted from the arrival.
	Base string `yaml:"base"`
	// Step is how much later than the one before each element of a list is; path is
	// then where the time of the first is, as $.start. With a minus each is earlier.
	Step Step `yaml:"step"`
	// Format is iso8601 (default, RFC 3339 too), unix, unix_ms, unix_us, unix_ns, dsmr
	// (YYMMDDhhmmss of smart meters, with S or W for summer and winter), or a layout of
	// Go's time package, as "02.01.2006 15:04:05".
	Format string `yaml:"format"`
	// Zone is the time zone of times that do not say theirs, as Europe/Prague;
	// the default is UTC.
	Zone string `yaml:"zone"`
	// MaxAge is how much older than its arrival a time may be to be believed. There
	// is no default: loggers send what they kept for months.
	MaxAge *setting.Duration `yaml:"max_age"`
	// MaxAhead is how far ahead of its arrival a time may be to be believed; the
	// default is 1d. What is not believed is of the time of arrival, as are times
	// before 2002, which are those of clocks that were never set.
	MaxAhead *setting.Duration `yaml:"max_ahead"`
}

// Quality is where a payload says whether its values are good.
type Quality struct {
	// Path is where in the JSON that is. With each it is counted from the element; $.
	// before it counts from the whole payload. What has nothing there is good.
	Path string `yaml:"path"`
	// Column is where in the CSV it is, counted from 1.
	Column int `yaml:"column"`
	// Good is what is there of good values, or a list, as [true, 192]; of any other all
	// points are bad (sentinel).
	Good Words `yaml:"good"`
}

// Step is a duration that may have a minus before it.
type Step time.Duration

// UnmarshalText reads 10s or -10s.
func (s *Step) UnmarshalText(text []byte) error {
	back, minus := strings.CutPrefix(string(text), "-")
	var d setting.Duration
	if err := d.UnmarshalText([]byte(back)); err != nil {
		return err
	}
	if *s = Step(d); minus {
		*s = -*s
	}
	return nil
}
