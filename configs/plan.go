package configs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs/tree"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/setting"
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
	// Free says that the messages are not billed, only the rule: Basic Ingest.
	Free bool `json:"messages_free"`
}

// QueuePlan is how readings wait.
type QueuePlan struct {
	Dir         string `json:"dir"`
	CommitEvery string `json:"commit_every"` // the most that a power cut takes
	// Journal is the setting, and NoJournal why there will be none on this machine,
	// if that was looked at: then a crash takes as much as a power cut.
	Journal   string `json:"journal"`
	NoJournal string `json:"no_journal,omitempty"`
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
	unknown := func(section, name string) bool { return l.root.At("southbound", "modbus", section, name).HasUnknown() }
	c := l.Config
	m := &c.Southbound.Modbus
	m.Buses, m.Devices = maps.Clone(m.Buses), maps.Clone(m.Devices)
	maps.DeleteFunc(m.Buses, func(name string, _ modbus.Bus) bool { return unknown("buses", name) })
	maps.DeleteFunc(m.Devices, func(name string, d modbus.Device) bool {
		return unknown("devices", name) || d.Bus != "" && unknown("buses", d.Bus)
	})
	return &c
}

// plan is Plan for a configuration that is valid.
func (c *Config) plan() Plan {
	p := Plan{
		Gateway: c.Gateway,
		Buses:   modbus.Plan(c.Southbound.Modbus),
		Queue:   QueuePlan{Dir: string(c.Store.Dir), CommitEvery: c.Store.CommitEvery.String(), Journal: c.Store.Journal},
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
	if r.Link = broker.URL.String(); len(broker.Listen) > 0 {
		r.Link = "listens on " + broker.Listen.String()
	}
	for point := range s.Points {
		r.Points = append(r.Points, point)
	}
	slices.Sort(r.Points)
	if len(r.Points) == 0 {
		r.Points = []string{cmp.Or(s.Point, "{point}")}
	}
	if slices.Equal(r.Points, []string{"*"}) {
		r.Points = []string{"all that a payload has"}
	}
	return r
}

func (c *Config) northPlan(buses []modbus.BusPlan) NorthPlan {
	north := &c.Northbound.AWSIoT
	n := NorthPlan{
		Endpoint:    north.Endpoint,
		ClientID:    c.ClientID(),
		Topic:       ingest(north.BasicIngest) + c.fillTopic(north.Topic, c.Gateway),
		StatusTopic: c.fillTopic(cmp.Or(north.StatusTopic, defaultStatus), c.Gateway),
	}
	f, err := north.Forecast(c.Gateway, c.Labels, c.emissions(buses, false))
	if err != nil {
		return n // a topic that is not known here
	}
	n.Messages, n.Units, n.Bytes, n.Free = f.Messages*month.Seconds(), f.UnitsPerMonth(), f.Bytes, f.Free
	return n
}

// month is what estimates are for.
const month = 30 * 24 * time.Hour

// defaultStatus is the default of status_topic.
const defaultStatus = "fieldbridge/{gateway}/status"

// ingest is the begin of topics that go to a rule directly.
func ingest(rule string) string {
	if rule == "" {
		return ""
	}
	return "$aws/rules/" + rule + "/"
}

// fillTopic puts a name and the labels where a topic names them.
func (c *Config) fillTopic(topic, gateway string) string {
	topic = strings.ReplaceAll(topic, "{gateway}", gateway)
	for name, value := range c.Labels {
		topic = strings.ReplaceAll(topic, "{label."+name+"}", value)
	}
	return topic
}

// emissions are what is polled, by device and interval; with surely only what is
// delivered each time.
func (c *Config) emissions(buses []modbus.BusPlan, surely bool) []payload.Emission {
	type cycle struct {
		device string
		every  time.Duration
	}
	var all []payload.Emission
	index := make(map[cycle]int)
	for _, bus := range buses {
		if surely && bus.Load > 1 {
			continue // nobody knows what it will manage
		}
		for _, block := range bus.Blocks {
			key := cycle{block.Device, block.Every.D()}
			i, ok := index[key]
			if !ok {
				i = len(all)
				index[key] = i
				all = append(all, payload.Emission{Device: block.Device, Every: block.Every.D()})
			}
			for _, point := range block.Points {
				d := c.Southbound.Modbus.Devices[block.Device]
				p := d.Points[point]
				if surely && (d.OnChange && p.OnChange == nil || p.OnChange != nil && *p.OnChange || p.Deadband != nil ||
					p.Report != nil) {
					continue
				}
				kind := cmp.Or(p.Type, "uint16")
				if p.Coil != nil || p.Discrete != nil || p.Bit != nil {
					kind = "bool"
				}
				all[i].Readings = append(all[i].Readings,
					bridge.Reading{Point: point, Value: payload.Typical(kind, map[bool]int{true: 1}[p.Scale != nil])})
			}
		}
	}
	return all
}

// Advice warns of what cannot be done: buses that are asked for more than they
// can, and an uplink that may carry less than is read. It takes some time, which
// is why loading does not do it.
func (l *Loaded) Advice() []tree.Problem {
	c := l.known()
	buses := modbus.Plan(c.Southbound.Modbus)
	var problems []setting.Problem
	for _, bus := range buses {
		if bus.Load <= 1 || len(bus.Blocks) == 0 {
			continue
		}
		path := []string{"southbound", "modbus", "buses", bus.Bus}
		if _, ok := c.Southbound.Modbus.Buses[bus.Bus]; !ok {
			path = []string{"southbound", "modbus", "devices", bus.Blocks[0].Device}
		}
		problems = append(problems, setting.Problem{Path: path, OnKey: true,
			Text: fmt.Sprintf("%s would be %.0f %% busy: cycles will be left out", bus.Bus, bus.Load*100),
			Fix:  "poll less often, or fewer points"})
	}
	north := &c.Northbound.AWSIoT
	all := c.emissions(buses, false)
	if f, err := north.Forecast(c.Gateway, c.Labels, all); err == nil {
		found := append(f.Problems(north.Rate.Messages, float64(north.Rate.Bytes)),
			north.Advice(c.Gateway, c.Labels, all, f)...)
		problems = append(problems, setting.Under([]string{"northbound", "awsiot"}, found)...)
	}
	return l.located(problems)
}

// Refusals are what makes a configuration impossible though each key is right:
// more messages or bytes than the uplink's rate takes, from the points that are
// delivered each time they are read. The queue would grow for ever. Like
// [Loaded.Advice] it takes some time.
func (l *Loaded) Refusals() []tree.Problem {
	c := l.known()
	north := &c.Northbound.AWSIoT
	f, err := north.Forecast(c.Gateway, c.Labels, c.emissions(modbus.Plan(c.Southbound.Modbus), true))
	if err != nil {
		return nil
	}
	return l.located(setting.Under([]string{"northbound", "awsiot"},
		f.Problems(north.Rate.Messages, float64(north.Rate.Bytes))))
}

// located says where problems are.
func (l *Loaded) located(problems []setting.Problem) []tree.Problem {
	out := make([]tree.Problem, len(problems))
	for i, p := range problems {
		at, _ := l.root.Find(p.Path, p.OnKey)
		out[i] = tree.NewProblem(at, p.Text, p.Fix)
	}
	return tree.Sorted(out)
}
