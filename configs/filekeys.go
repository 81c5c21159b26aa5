package configs

import (
	"reflect"
	"slices"

	"fieldbridge/configs/keys"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/mqtt"
)

// fileKeys are keys of a gateway's file that are used up while it is read. Here
// they have their reference text.
type fileKeys struct {
	// Include names files, or folders of files, whose keys are taken as if they
	// stood here; what stands here itself wins. Paths are relative to this file.
	Include []setting.Path `yaml:"include"`
	// Vars are values by name: ${name} anywhere in a value or key stands for
	// one. ${gateway} is the gateway's name, ${env:NAME} an environment
	// variable (${env:NAME:-text} is the text where that is not set or empty),
	// ${file:PATH} what a file holds, $${ the characters ${.
	Vars map[string]any `yaml:"vars"`
	// Profiles are devices without a place, by name, for devices and sensors
	// that say profile: NAME. They come before the shipped ones.
	Profiles map[string]profile `yaml:"profiles"`
}

// profile is a device without a place; a recipe for sensors has the keys of a
// sensor rule instead.
type profile struct {
	// About tells people what device it is.
	About any `yaml:"about"`
	// Maker tells people who makes it.
	Maker any `yaml:"maker"`
	// Models tells people which of the maker's devices have these points.
	Models any `yaml:"models"`
	// Source names the documents that the addresses are from.
	Source any `yaml:"source"`
	// Verified tells people by what the addresses were checked: document, source
	// or device.
	Verified any `yaml:"verified"`
	// Matches are words that are all in what such a device says of itself: then
	// 'fieldbridge modbus scan' offers the profile.
	Matches []string `yaml:"matches"`
	setup.Device
}

// deviceKeys are keys of a Modbus device that are used up likewise.
type deviceKeys struct {
	// Profile names a profile of this file or of the shipped library. The keys
	// of the device come on top: a point of the same name replaces the
	// profile's, null removes it.
	Profile string `yaml:"profile"`
	// Only lists the points to keep, of those that the profile has. The device's
	// own, and the scale points of both, are kept.
	Only []string `yaml:"only"`
	// Upkeep lets the gateway write by itself what the profile says: before_write,
	// on_connect, and keep of points. Without it a profile with some is refused.
	Upkeep bool `yaml:"upkeep"`
}

// sensorKeys are keys of a sensor rule that are used up likewise.
type sensorKeys struct {
	// Profile names a recipe of this file's profiles or of the shipped ones;
	// the keys of the rule come on top.
	Profile string `yaml:"profile"`
}

// fleetFile are the keys of a fleet file.
type fleetFile struct {
	// Fleet is the name of the fleet.
	Fleet string `yaml:"fleet"`
	// Include names files, or folders of files, with more of these keys.
	// Profiles, groups and gateways are told once over all files.
	Include []setting.Path `yaml:"include"`
	// Vars are values by name for all gateways; those of defaults, groups and
	// the gateway itself come on top.
	Vars map[string]any `yaml:"vars"`
	// Profiles are devices without a place, by name, for all gateways.
	Profiles map[string]profile `yaml:"profiles"`
	// Defaults has the keys of a gateway's file, for all gateways.
	Defaults Config `yaml:"defaults"`
	// Groups have the keys of a gateway's file, for the gateways in them, by
	// name.
	Groups map[string]Config `yaml:"groups"`
	// Gateways are the gateways by name, the AWS thing name. Each has the keys
	// of a gateway's file and lies upon its groups and the defaults: maps are
	// merged by key, lists and values replaced, null removes. "gw-{1..8}"
	// stands for eight, with ${n} as the number.
	Gateways map[string]fleetGateway `yaml:"gateways"`
}

// fleetGateway is a gateway in a fleet file.
type fleetGateway struct {
	// Groups are the groups of the gateway; later ones lie upon earlier ones.
	Groups []string `yaml:"groups"`
	Config
}

// usedUp are the keys that are used up while a file is read, by the struct that
// has the others.
var usedUp = map[reflect.Type]reflect.Type{
	reflect.TypeFor[fleetGateway](): reflect.TypeFor[fileKeys](),
	configType:                      reflect.TypeFor[fileKeys](),
	reflect.TypeFor[setup.Device](): reflect.TypeFor[deviceKeys](),
	reflect.TypeFor[mqtt.Sensor]():  reflect.TypeFor[sensorKeys](),
}

var configType = reflect.TypeFor[Config]()

// keysOf returns all keys that a file may have where t is configured.
func keysOf(t reflect.Type) []keys.Field {
	if extra, ok := usedUp[t]; ok {
		return slices.Concat(keys.Of(t), keys.Of(extra))
	}
	return keys.Of(t)
}
