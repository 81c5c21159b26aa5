package mqtt

import (
	"errors"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Sensor is a rule: which messages, and what is read from them.
type Sensor struct {
	// Broker names one of brokers.
	Broker string `yaml:"broker"`
	// Topic is an MQTT topic filter. Besides + and #, {name} matches one level
	// and captures it for device and point names.
	Topic string `yaml:"topic"`
	// QoS is asked for when subscribing at a broker of the site: 0, 1 (default)
	// or 2. At the embedded broker the sensor decides.
	QoS *int `yaml:"qos"`
	// Device names the device; {name} stands for what the topic captured. The
	// default is {device}. What can't be in a name becomes "_".
	Device string `yaml:"device"`
	// MaxDevices is how many devices the rule may make, 1 to 100000; the default
	// is 1000. Messages of more are counted and dropped: a publisher gone mad
	// must not fill memory.
	MaxDevices int `yaml:"max_devices"`
	// Expect is how often a message of each device is expected at the least: if
	// none comes for so long, its points become bad (silent) until one does. The
	// default, 0s, expects nothing.
	Expect setting.Duration `yaml:"expect"`
	// Format is how the payload is written: json (default if there are points),
	// csv or sparkplug-b. Each line of csv is a batch of its own. Without points
	// the whole payload is one value, but for sparkplug-b, whose payloads name
	// devices, points and types themselves: a device is called NODE.DEVICE, with
	// the group before if the topic takes several.
	Format string `yaml:"format"`
	// SkipLines is how many lines at the top of the CSV have no values, as a line
	// of names: 0 (default) to 100.
	SkipLines int `yaml:"skip_lines"`
	// Time is where the payload says when its values were read. Without it, and
	// for payloads that don't say, it is the time of arrival.
	Time *Time `yaml:"time"`
	// Point names the point when the whole payload is its value; {name} stands
	// for what the topic captured. The default is {point} if the topic captures it.
	Point string `yaml:"point"`
	// Points are the values in a payload, by point name; or all: every number,
	// bool and text in JSON, named by where it is, as energy_power.
	Points Points `yaml:"points"`
	// Value says how the whole payload is read. With points, on_change and
	// heartbeat are the defaults of all of them, and nothing else may be given.
	Value
}

// Points are the points of a sensor by name, or all that a payload has.
type Points map[string]Point

const formatSparkplug = "sparkplug-b"

// everything is the key of Points that stands for all; it can't name a point.
const everything = "*"

// UnmarshalText reads the word all.
func (p *Points) UnmarshalText(text []byte) error {
	if string(text) != "all" {
		return errPoints
	}
	*p = Points{everything: {all: true}}
	return nil
}

var errPoints = errors.New("points is a map of names, or the word all")

// all reports whether p is the word all.
func (p Points) all() bool { return p[everything].all }

// Point is one value of a payload.
type Point struct {
	// Path is where the value is in the JSON, as GJSON writes paths: a.b, a.0,
	// a\.b for a key with a dot.
	Path string `yaml:"path"`
	// Column is where the value is in the CSV, counted from 1.
	Column int `yaml:"column"`
	// Value says how it is read.
	Value
	all bool // of Points
}

// Value says how a value is read, and which readings are delivered.
type Value struct {
	// Type is what the value is: float64 (default), float32, int8 to int64,
	// uint8 to uint64, bool or string.
	Type string `yaml:"type"`
	// Unit is the engineering unit, as "°C".
	Unit string `yaml:"unit"`
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
}

// Time is where a payload says when its values were read.
type Time struct {
	// Path is where the time is in the JSON.
	Path string `yaml:"path"`
	// Column is where the time is in the CSV, counted from 1.
	Column int `yaml:"column"`
	// Format is iso8601 (default, RFC 3339 too), unix, unix_ms, unix_us, unix_ns,
	// or a layout of Go's time package, as "02.01.2006 15:04:05".
	Format string `yaml:"format"`
	// Zone is the time zone of times that don't say theirs, as Europe/Prague;
	// the default is UTC.
	Zone string `yaml:"zone"`
}
