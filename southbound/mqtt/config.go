package mqtt

import "fieldbridge/setting"

// Config is the section southbound.mqtt.
type Config struct {
	// Brokers are where sensors publish, by name.
	Brokers map[string]Broker `yaml:"brokers"`
	// Sensors are the rules that make readings of messages. They are tried in
	// order: the first whose broker and topic match takes the message.
	Sensors setting.Ordered[Sensor] `yaml:"sensors"`
}
