package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/setting"
)

// ExampleEndpoint stands in a first configuration until somebody knows better.
const ExampleEndpoint = "PREFIX-ats.iot.REGION.amazonaws.com"

// crossCheck finds what shows only when sections are seen together.
func (c *Config) crossCheck() []setting.Problem {
	problems := c.deviceNames()
	problems = append(problems, c.unusedBuses()...)
	problems = append(problems, c.unusedBrokers()...)
	problems = append(problems, c.commitPace()...)
	if c.Northbound.AWSIoT.Endpoint == ExampleEndpoint {
		problems = append(problems, setting.Problem{Path: []string{"northbound", "awsiot", "endpoint"}, Warning: true,
			Text: "this is the endpoint of an example",
			Fix:  "write yours, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it"})
	}
	if len(c.Southbound.Modbus.Devices) == 0 && len(c.Southbound.MQTT.Sensors) == 0 {
		problems = append(problems, setting.Problem{Path: []string{"southbound"}, Warning: true,
			Text: "there is nothing to read", Fix: "add devices under southbound.modbus or sensors under southbound.mqtt"})
	}
	return problems
}

// deviceNames finds sensors whose fixed device is also a Modbus device: their
// readings could not be told apart.
func (c *Config) deviceNames() []setting.Problem {
	var problems []setting.Problem
	for _, s := range c.Southbound.MQTT.Sensors {
		device := s.Value.Device
		if strings.Contains(device, "{") {
			continue
		}
		if _, ok := c.Southbound.Modbus.Devices[device]; ok {
			problems = append(problems, setting.Problem{
				Path: []string{"southbound", "mqtt", "sensors", s.Name, "device"},
				Text: fmt.Sprintf("device %q is also a Modbus device", device), Fix: "give one of them another name",
			})
		}
	}
	return problems
}

func (c *Config) unusedBuses() []setting.Problem {
	used := make(map[string]bool)
	for _, d := range c.Southbound.Modbus.Devices {
		used[d.Bus] = true
	}
	var problems []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Southbound.Modbus.Buses)) {
		if !used[name] {
			problems = append(problems, setting.Problem{
				Path: []string{"southbound", "modbus", "buses", name}, OnKey: true, Warning: true,
				Text: "no device is on this bus", Fix: "add a device with bus: " + name + ", or remove the bus",
			})
		}
	}
	return problems
}

func (c *Config) unusedBrokers() []setting.Problem {
	used := make(map[string]bool)
	for _, s := range c.Southbound.MQTT.Sensors {
		used[s.Value.Broker] = true
	}
	var problems []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Southbound.MQTT.Brokers)) {
		if !used[name] {
			problems = append(problems, setting.Problem{
				Path: []string{"southbound", "mqtt", "brokers", name}, OnKey: true, Warning: true,
				Text: "no sensor rule is on this broker", Fix: "add a rule with broker: " + name + ", or remove the broker",
			})
		}
	}
	return problems
}

// ackTime is how long a message takes to the cloud and its acknowledgement back,
// with some room.
const ackTime = 500 * time.Millisecond

// commitPace warns of a queue that writes to the disk what the cloud is about to
// acknowledge.
func (c *Config) commitPace() []setting.Problem {
	linger, commit := c.Northbound.AWSIoT.Linger.D(), c.Store.CommitEvery.D()
	if commit == 0 || linger+ackTime <= commit {
		return nil
	}
	return []setting.Problem{{
		Path: []string{"northbound", "awsiot", "linger"}, Warning: true,
		Text: fmt.Sprintf("with linger %s and store.commit_every %s most readings are written to the disk before the "+
			"cloud can acknowledge them",
			c.Northbound.AWSIoT.Linger, c.Store.CommitEvery),
		Fix: fmt.Sprintf("to spare the flash let commit_every be at least %s", setting.Duration(linger+ackTime)),
	}}
}
