package configs

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/mqtt"
)

// Plan is what a gateway will do, for people and for comparing configurations.
type Plan struct {
	Gateway string           `json:"gateway"`
	Buses   []modbus.BusPlan `json:"buses"`
	Rules   []RulePlan       `json:"rules"` // in the order in which they are tried
	North   NorthPlan        `json:"northbound"`
	Queue   QueuePlan        `json:"queue"`
	Console string           `json:"console,omitempty"` // where it listens
}

// RulePlan is a sensor rule: which messages it takes and what it makes of them.
type RulePlan struct {
	Rule   string   `json:"rule"`
	Broker string   `json:"broker"`
	Link   string   `json:"link"` // "listens on 127.0.0.1:1883", "mqtt://10.0.0.9:1883"
	Topic  string   `json:"topic"`
	Device string   `json:"device"` // a name, or {name} of the topic
	Points []string `json:"points"` // names, or {name} of the topic
}

// NorthPlan is what goes to the cloud.
type NorthPlan struct {
	Endpoint    string `json:"endpoint"`
	ClientID    string `json:"client_id"`
	Topic       string `json:"topic"` // with the gateway's name, {device} stays
	StatusTopic string `json:"status_topic"`
	// Messages and Units are estimates for 30 days of what is polled: published
	// messages, and the steps of 5 KB that AWS bills. Sensors come on top.
	Messages float64 `json:"messages_per_month"`
	Units    float64 `json:"billed_units_per_month"`
	// Bytes is how much that is per second.
	Bytes float64 `json:"bytes_per_second"`
}

// QueuePlan is how readings wait.
type QueuePlan struct {
	Dir         string `json:"dir"`
	CommitEvery string `json:"commit_every"` // the most that a power cut takes
}

// Plan returns what the gateway will do. Devices and buses that need values which
// this machine does not have ([Loaded.Missing]) are left out.
func (l *Loaded) Plan() Plan { return l.known().plan() }

// known returns the configuration without the Modbus devices whose values are
// not all known here.
func (l *Loaded) known() *Config {
	if !l.incomplete {
		return &l.Config
	}
	unknown := func(section, name string) bool { return l.root.at("southbound", "modbus", section, name).hasUnknown() }
	c := l.Config
	m := &c.Southbound.Modbus
	m.Buses, m.Devices = maps.Clone(m.Buses), maps.Clone(m.Devices)
	maps.DeleteFunc(m.Buses, func(name string, _ modbus.Bus) bool { return unknown("buses", name) })
	maps.DeleteFunc(m.Devices, func(name string, d modbus.Device) bool {
		return unknown("devices", name) || d.Bus != "" && unknown("buses", d.Bus)
	})
	return &c
}

// hasUnknown reports whether a value in n is not known on this machine.
func (n *node) hasUnknown() bool {
	if n == nil {
		return false
	}
	return n.unknown || slices.ContainsFunc(n.items, (*node).hasUnknown) ||
		slices.ContainsFunc(n.members, func(m member) bool { return m.value.hasUnknown() })
}

// plan is Plan for a configuration that is valid.
func (c *Config) plan() Plan {
	p := Plan{
		Gateway: c.Gateway,
		Buses:   modbus.Plan(c.Southbound.Modbus),
		Queue:   QueuePlan{string(c.Store.Dir), c.Store.CommitEvery.String()},
		Console: c.Console.Listen,
	}
	for _, s := range c.Southbound.MQTT.Sensors {
		p.Rules = append(p.Rules, c.rulePlan(s.Name, s.Value))
	}
	p.North = c.northPlan(p.Buses)
	return p
}

// Points returns how many points are polled.
func (c *Config) Points() int {
	n := 0
	for _, d := range c.Southbound.Modbus.Devices {
		n += len(d.Points)
	}
	return n
}

func (c *Config) rulePlan(name string, s mqtt.Sensor) RulePlan {
	r := RulePlan{Rule: name, Broker: s.Broker, Topic: s.Topic, Device: cmp.Or(s.Device, "{device}")}
	broker := c.Southbound.MQTT.Brokers[s.Broker]
	if r.Link = broker.URL; broker.Listen != "" {
		r.Link = "listens on " + broker.Listen
	}
	for point := range s.Points {
		r.Points = append(r.Points, point)
	}
	slices.Sort(r.Points)
	if len(r.Points) == 0 {
		r.Points = []string{cmp.Or(s.Point, "{point}")}
	}
	return r
}

func (c *Config) northPlan(buses []modbus.BusPlan) NorthPlan {
	north := &c.Northbound.AWSIoT
	fill := func(topic string) string { return strings.ReplaceAll(topic, "{gateway}", c.Gateway) }
	n := NorthPlan{
		Endpoint:    north.Endpoint,
		ClientID:    c.ClientID(),
		Topic:       fill(north.Topic),
		StatusTopic: fill(cmp.Or(north.StatusTopic, "fieldbridge/{gateway}/status")),
	}
	for _, f := range flows(buses, strings.Contains(north.Topic, "{device}")) {
		messages := f.batches
		if linger := north.Linger.D().Seconds(); linger > 0 {
			messages = min(messages, 1/linger)
		}
		messages = max(messages, f.bytes/float64(north.MaxMessage))
		const billed = 5 << 10 // bytes that AWS IoT Core bills as one
		perMessage := 1.0
		if messages > 0 {
			perMessage = math.Ceil((f.bytes/messages + envelope) / billed)
		}
		n.Bytes += f.bytes + messages*envelope
		n.Messages += messages * month.Seconds()
		n.Units += messages * perMessage * month.Seconds()
	}
	return n
}

// month is what estimates are for.
const month = 30 * 24 * time.Hour

// Sizes of what surrounds readings in a message of format rows, in bytes, and of
// a usual number.
const (
	envelope  = 120
	perBatch  = 60
	perNumber = 6
)

// flow is what goes to one topic per second.
type flow struct{ batches, bytes float64 }

// flows returns what is polled, of each topic.
func flows(buses []modbus.BusPlan, perDevice bool) map[string]flow {
	type cycle struct {
		device string
		every  time.Duration
	}
	size := make(map[cycle]int)
	for _, bus := range buses {
		for _, block := range bus.Blocks {
			key := cycle{block.Device, block.Every}
			if size[key] == 0 {
				size[key] = perBatch + len(block.Device)
			}
			for _, point := range block.Points {
				size[key] += len(point) + len(`"":,`) + perNumber
			}
		}
	}
	out := make(map[string]flow)
	for key, bytes := range size {
		topic := ""
		if perDevice {
			topic = key.device
		}
		f, rate := out[topic], 1/key.every.Seconds()
		out[topic] = flow{f.batches + rate, f.bytes + rate*float64(bytes)}
	}
	return out
}
