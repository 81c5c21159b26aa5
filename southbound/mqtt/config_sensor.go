package mqtt

import (
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/payload"
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
	// default is {device}. What cannot be in a name becomes "_".
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
	// for payloads that do not say, it is the time of arrival.
	Time *payload.Time `yaml:"time"`
	// Point names the point when the whole payload is its value; {name} stands
	// for what the topic captured. The default is {point} if the topic captures it.
	Point string `yaml:"point"`
	// Points are the values in a payload, by point name; or all: every number,
	// bool and text in JSON, named by where it is, as energy_power.
	Points payload.Points `yaml:"points"`
	// Value says how the whole payload is read. With points, on_change and
	// heartbeat are the defaults of all of them, and nothing else may be given.
	payload.Value
}
