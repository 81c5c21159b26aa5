package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/setting"
	"fieldbridge/store/terms"
)

// ExampleEndpoint stands in a first configuration until somebody knows better.
const ExampleEndpoint = "PREFIX-ats.iot.REGION.amazonaws.com"

// crossCheck finds what shows only when sections are seen together.
func (c *Config) crossCheck(found *setting.Found) {
	c.checkDeviceNames(found)
	modbus, mqtt := c.Southbound.Modbus, c.Southbound.MQTT
	used := make(map[string]bool)
	for _, d := range modbus.Devices {
		used[d.Bus] = true
	}
	warnUnused(found, modbus.Buses, used, "no device is on this bus",
		"add a device with bus: %s, or remove the bus", "southbound", "modbus", "buses")
	used = make(map[string]bool)
	for _, s := range mqtt.Sensors {
		used[s.Value.Broker] = true
	}
	warnUnused(found, mqtt.Brokers, used, "no sensor rule is on this broker",
		"add a rule with broker: %s, or remove the broker", "southbound", "mqtt", "brokers")
	c.checkCommitPace(found)
	if c.Northbound.AWSIoT.Endpoint == ExampleEndpoint {
		found.Warn("this is the endpoint of an example",
			"write yours, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it",
			"northbound", "awsiot", "endpoint")
	}
	if len(modbus.Devices) == 0 && len(mqtt.Sensors) == 0 {
		found.Warn("there is nothing to read", "add devices under southbound.modbus or sensors under southbound.mqtt",
			"southbound")
	}
}

// checkDeviceNames finds sensors whose fixed device is also a Modbus device:
// their readings could not be told apart.
func (c *Config) checkDeviceNames(found *setting.Found) {
	taken := func(device string) bool { return c.Health.Every != 0 && device == c.Health.Device }
	if _, ok := c.Southbound.Modbus.Devices[c.Health.Device]; ok && taken(c.Health.Device) {
		found.Add(fmt.Sprintf("device %q is also a Modbus device", c.Health.Device),
			"give it another name, with health.device",
			"health", "device")
	}
	for _, s := range c.Southbound.MQTT.Sensors {
		device := s.Value.Device
		if _, ok := c.Southbound.Modbus.Devices[device]; ok && !strings.Contains(device, "{") {
			found.Add(fmt.Sprintf("device %q is also a Modbus device", device), "give one of them another name",
				"southbound", "mqtt", "sensors", s.Name, "device")
		} else if taken(device) {
			found.Add(fmt.Sprintf("device %q is also the gateway's health", device),
				"give it another name, or the gateway, with health.device", "southbound", "mqtt", "sensors", s.Name, "device")
		}
	}
}

// warnUnused warns of the things at a path that nothing uses; fix has a %s for
// the name.
func warnUnused[T any](
	found *setting.Found, things map[string]T, used map[string]bool, text, fix string, path ...string,
) {
	for _, name := range slices.Sorted(maps.Keys(things)) {
		if !used[name] {
			*found = append(*found, setting.Problem{Path: append(slices.Clip(path), name), OnKey: true, Warning: true,
				Text: text, Fix: fmt.Sprintf(fix, name)})
		}
	}
}

// ackTime is how long a message takes to the cloud and its acknowledgement back,
// with some room.
const ackTime = 500 * time.Millisecond

// checkCommitPace warns of a queue that writes to the disk what the cloud is about
// to acknowledge.
func (c *Config) checkCommitPace(found *setting.Found) {
	linger, commit := c.Northbound.AWSIoT.Linger, c.Store.CommitEvery
	if within := c.Store.CommitWithin(true); commit == terms.Linger && within > terms.MostCommitEvery {
		found.Add(fmt.Sprintf("with linger %s a power cut could take %s of readings", linger, setting.Duration(within)),
			fmt.Sprintf("let linger be at most %s, or give commit_every as a time",
				setting.Duration(terms.MostCommitEvery-terms.AckTime)), "store", "commit_every")
	}
	if commit == 0 || commit == terms.Linger || linger.D()+ackTime <= time.Duration(commit) {
		return
	}
	found.Warn(fmt.Sprintf("with linger %s and store.commit_every %s most readings are written to the disk before the "+
		"cloud can acknowledge them", linger, commit),
		fmt.Sprintf("to spare the flash let commit_every be at least %s, or linger", setting.Duration(linger.D()+ackTime)),
		"northbound", "awsiot", "linger")
}
