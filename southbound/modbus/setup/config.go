package setup

import (
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
)

// Config is the modbus section of a configuration: lines and the devices on
// them.
type Config struct {
	// Buses are the lines and connections, by name. One goroutine owns each:
	// requests on one bus follow one another, buses never wait for each other.
	Buses map[string]Bus `yaml:"buses"`
	// Devices are what is polled, by name: 1 to 64 letters, digits, '.', '_'
	// or '-'.
	Devices map[string]Device `yaml:"devices"`
}

// Device is a thing with points, behind one unit id of a bus.
type Device struct {
	// Bus is the name of the bus that the device is on.
	Bus string `yaml:"bus"`
	// URL names the bus by where it is, for a device that is alone on its
	// address. The same host and port is the same bus.
	URL string `yaml:"url"`
	// UnitID is the device's address on its bus, 0 to 255. On a line 0 is all units at
	// once: they can be written to (access: write), and none answers. Default 1.
	UnitID int `yaml:"unit_id"`
	// Every is how often the points are read, aligned to the wall clock, at
	// least 10ms. Default 1s.
	Every setting.Duration `yaml:"every"`
	// Order is the byte and word order of the points, at any width: ABCD (the
	// default), DCBA, BADC or CDAB. BADC swaps the bytes of each register.
	Order string `yaml:"order"`
	// Base is the address of the first register in the device's manual, 0 or 1;
	// it is subtracted from the addresses of the points. Default 0.
	Base int `yaml:"base"`
	// SunSpec are the models of a SunSpec device that the holding addresses of
	// the points count in; see the points' key. Default none: they are plain.
	SunSpec []int `yaml:"sunspec"`
	// Instances is how many of the same SunSpec models are read at most, 1 to 20,
	// where a device has several, meters for instance: the points of the second
	// end in _2. Those that the device lacks are left out. Default 1.
	Instances int `yaml:"instances"`
	// Timeout is how long to wait for an answer. Default: the bus's.
	Timeout *setting.Duration `yaml:"timeout"`
	// Retries is how often a request is sent again. Default: the bus's.
	Retries *int `yaml:"retries"`
	// Pause is the least time between an answer of any device and a request to
	// this one. Default: the bus's.
	Pause *setting.Duration `yaml:"pause"`
	// MaxWords is the most registers in one request, 1 to 125. Default 125.
	MaxWords int `yaml:"max_words"`
	// MaxBits is the most coils or discrete inputs in one request, 1 to 2000.
	// Default 2000.
	MaxBits int `yaml:"max_bits"`
	// Exchange has the holding registers read by function 23, which writes others in
	// the same request, for devices that answer no other. With commands switched
	// off they are not read; by hand they are read by function 3.
	Exchange *Exchange `yaml:"exchange"`
	// Lengths says that the device answers requests of some lengths only: even (an
	// even number of registers) or eights (coils and discrete inputs eight at a
	// time, from a multiple of eight on). Default: any, as long as nothing else is
	// found out.
	Lengths string `yaml:"lengths"`
	// MaxGap is how many unused registers may be read through to save a
	// request; 0 reads none in vain. Default: by cost.
	MaxGap *int `yaml:"max_gap"`
	// Write is how points are written: auto (the default: functions 5 and 6 for
	// one coil or register, 16 for more), single (5 and 6 only, one register
	// after the other) or multiple (15 and 16 only).
	Write string `yaml:"write"`
	// BeforeWrite are values that are written before each command to the device, in
	// this order and in the same turn of the bus: codes that unlock it for instance.
	BeforeWrite []Step `yaml:"before_write"`
	// OnConnect are values that are written in this order when the gateway starts,
	// on each new connection, and when the device answers again: codes that unlock
	// it, values to start with. Not more often than each 10s, then 20s, ... 5m.
	OnConnect []Step `yaml:"on_connect"`
	// Labels are told to the cloud with the device's points.
	Labels map[string]string `yaml:"labels"`
	// OnChange delivers a point only when its value changed, for all points
	// that do not say otherwise. Default false: each reading.
	OnChange bool `yaml:"on_change"`
	// Heartbeat delivers an unchanged value at least so often. Default 15m where
	// only changes are delivered. Bad points come again every 5m always.
	Heartbeat setting.Duration `yaml:"heartbeat"`
	// Thin lets readings that wait become aggregates before any are dropped for want of
	// room, of all points that do not say otherwise, count up, or have a report.
	Thin *setting.Thin `yaml:"thin"`
	// Points are the values to read, by name: [a-z][a-z0-9_]*.
	Points map[string]Point `yaml:"points"`
}

// SetDefaults fills in what a device is unless told otherwise.
func (d *Device) SetDefaults() {
	d.UnitID = 1
	d.Every = setting.Duration(time.Second)
	d.Order = "ABCD"
	d.Instances = 1
	d.Write = set.Auto
	d.MaxWords = point.MaxWords
	d.MaxBits = point.MaxBits
}

// minEvery is the shortest interval: below it a wall-clock grid means nothing.
const MinEvery = 10 * time.Millisecond

// Exchange is what is written with each read by function 23.
type Exchange struct {
	// Holding is the zero-based wire address of the first register that is written.
	Holding int `yaml:"holding"`
	// Values are what is written, 1 to 121 registers, 0 to 65535 each.
	Values []int `yaml:"values"`
}
