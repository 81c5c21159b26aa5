package mqtt

import (
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/payload"
)

// Sensor is a rule: which messages, and what is read from them.
type Sensor struct {
	// Broker names one of brokers.
	Broker string `yaml:"broker"`
	// Topic is an MQTT topic filter. Besides + and #, {name} matches one level
	// and captures it for device and point names, and {name#} at the end all
	// levels that follow, one at the least.
	Topic string `yaml:"topic"`
	// QoS is asked for when subscribing at a broker of the site: 0, 1 (default)
	// or 2. At the embedded broker the sensor decides.
	QoS *int `yaml:"qos"`
	// Ignore takes the messages and makes nothing of them: no device, no bad
	// payload, no topic that no rule takes. Rules after it do not see them, and
	// nothing is subscribed to for it.
	Ignore bool `yaml:"ignore"`
	// Device names the device; {name} stands for what the topic captured, and
	// {.path} for what the payload says, as {.mac}: in JSON a path as points have
	// it, in CSV the number of a column. {@key} is the key of an element of each. Where
	// {.path?} has nothing it is left out, with the text before it. The default is
	// {device}. What cannot be in a name becomes "_".
	Device string `yaml:"device"`
	// MaxDevices is how many devices the rule may make, 1 to 100000; the default
	// is 1000. Messages of more are counted and dropped: a publisher gone mad
	// must not fill memory.
	MaxDevices int `yaml:"max_devices"`
	// Expect is how often a message of each device is expected at the least: if
	// none comes for so long, its points become bad (silent) until one does, and
	// that is an alarm. The default, auto, learns how often each device speaks:
	// after three times its longest pause, and ten minutes at the least, a warning
	// says that it is silent, after a day if it has no rhythm, and no point becomes
	// bad. 0s expects nothing.
	Expect attendance.Expect `yaml:"expect"`
	// ForgetAfter is when a device that is silent is forgotten, as if it had never
	// been: time in which the gateway did not run does not count. By default it
	// is remembered until 'fieldbridge sensors forget' names it, over restarts,
	// too.
	ForgetAfter setting.Duration `yaml:"forget_after"`
	// Availability is a topic on which each device, or its last will, says whether
	// it is there.
	Availability *Availability `yaml:"availability"`
	// Retained says what to do with messages that a broker of the site had kept and
	// sends when the gateway subscribes: mark (default) reads them, but takes none
	// for a sign of life; use takes them as any other; ignore takes none.
	Retained string `yaml:"retained"`
	// Format is how the payload is written: json (default if there are points),
	// csv, text (points say with after and until where they are in it), cbor or
	// msgpack (their paths are those of the same JSON), bytes, or sparkplug-b. What an MQTT 5 client calls
	// application/cbor or application/msgpack is read as
	// that without it, and gzip and zlib are inflated. Each line of csv is a batch of its own. Without points
	// the whole payload is one value, but for sparkplug-b, whose payloads name
	// devices, points and types themselves: a device is called NODE.DEVICE, with
	// the group before if the topic takes several.
	Format string `yaml:"format"`
	// SkipLines is how many lines at the top of the CSV have no values, as a line
	// of names: 0 (default) to 100.
	SkipLines int `yaml:"skip_lines"`
	// Time is where the payload says when its values were read. Without it, and
	// for payloads that do not say, it is the time of arrival.
	Time *payload.Time `yaml:"time"`
	// Each is where in the JSON there are several samples or devices: the path to a
	// list or to an object, or @this if the payload is one. Each element is a batch
	// of its own, with its own time and device, and what is sent with QoS 1 or 2 is
	// acknowledged when all are safe. 10,000 elements are read.
	Each string `yaml:"each"`
	// ThenEach is the path in each of those elements to a list or an object, whose elements
	// are meant instead, as each: Messages and then_each: Payload. ^. before a path
	// counts from the element around; {.^.@key} is its key.
	ThenEach string `yaml:"then_each"`
	// Quality is where a payload, or an element or line of it, says whether its values are
	// good.
	Quality *payload.Quality `yaml:"quality"`
	// Point names the point when the whole payload is its value, or what is at path;
	// {name} stands for what the topic captured, {.path} for what the payload says.
	// The default is {point} if the topic captures it.
	Point string `yaml:"point"`
	// Path is where in the JSON the value of point is. Without it the whole payload
	// is the value, or the element with each. With points: all it is what has them.
	Path string `yaml:"path"`
	// Points are the values in a payload, by point name; or all: every number,
	// bool and text in JSON, named by where it is, as energy_power.
	Points payload.Points `yaml:"points"`
	// Value says how the whole payload is read. With points, on_change and
	// heartbeat are the defaults of all of them, and nothing else may be given.
	payload.Value
}

// Availability is where a device, or what it comes through, says that it comes and goes.
type Availability struct {
	// Topic is an MQTT topic filter that captures what the name of the device is
	// made of, as "tele/{device}/LWT".
	Topic string `yaml:"topic"`
	// Gateway is a topic on which a gateway of sensors, or its last will, speaks for all
	// devices of the rule, as "zigbee2mqtt/bridge/state"; of what it captures as the
	// topic of the rule does, as "home/{gateway}/LWT", for those with the same.
	Gateway string `yaml:"gateway"`
	// Path is where the word is in a JSON payload; without it the payload is the word.
	// A payload that is no JSON is the word, too.
	Path string `yaml:"path"`
	// Online is the word for being there, or a list of them; the default is online.
	Online payload.Words `yaml:"online"`
	// Offline is the word for being gone, or a list of them: all points that the rule
	// reads of the device become bad (offline) until it is online again or a value
	// comes. The default is offline. Any other word is told.
	Offline payload.Words `yaml:"offline"`
}
