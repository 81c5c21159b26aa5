package mqtt

import (
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// Config is the section southbound.mqtt.
type Config struct {
	// Brokers are where sensors publish, by name.
	Brokers map[string]inlet.Broker `yaml:"brokers"`
	// Sensors are the rules that make readings of messages. They are tried in
	// order: the first whose broker and topic match takes the message.
	Sensors setting.Ordered[Sensor] `yaml:"sensors"`
}
