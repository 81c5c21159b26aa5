package mqtt

import "fieldbridge/bridge/setting"

// Config is the section southbound.mqtt.
type Config struct {
	// Brokers are where sensors publish, by name.
	Brokers map[string]Broker `yaml:"brokers"`
	// Sensors are the rules that make readings of messages. They are tried in
	// order: the first whose broker and topic match takes the message.
	Sensors setting.Ordered[Sensor] `yaml:"sensors"`
}

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
	// default is {device}.
	Device string `yaml:"device"`
	// Point names the point when the whole payload is its value; {name} stands
	// for what the topic captured. The default is {point} if the topic captures it.
	Point string `yaml:"point"`
	// Points are the values in a JSON payload, by point name.
	Points map[string]Point `yaml:"points"`
	// Type is what the whole payload is: float64 (default), float32, int8 to
	// int64, uint8 to uint64, bool or string.
	Type string `yaml:"type"`
	// Unit is the engineering unit, as "°C".
	Unit string `yaml:"unit"`
	// Scale is what the number is multiplied by.
	Scale *setting.Decimal `yaml:"scale"`
	// Offset is added to the scaled number.
	Offset *setting.Decimal `yaml:"offset"`
}

// Point is one value of a payload.
type Point struct {
	// Path is where the value is in the JSON, as GJSON writes paths: a.b, a.0,
	// a\.b for a key with a dot.
	Path string `yaml:"path"`
	// Type is what the value is: float64 (default), float32, int8 to int64,
	// uint8 to uint64, bool or string.
	Type string `yaml:"type"`
	// Unit is the engineering unit, as "°C".
	Unit string `yaml:"unit"`
	// Scale is what the number is multiplied by.
	Scale *setting.Decimal `yaml:"scale"`
	// Offset is added to the scaled number.
	Offset *setting.Decimal `yaml:"offset"`
}
