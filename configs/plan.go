package configs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs/advice"
	"fieldbridge/configs/tree"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/store/disk"
	"fieldbridge/store/flash"
	"fieldbridge/store/terms"
	"fieldbridge/vitals"
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
	// Ignored says that nothing is made of its messages.
	Ignored bool `json:"ignored,omitempty"`
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
	// Longer is what a longer linger would make of it, nil if it would not be much.
	Longer *Longer `json:"longer_linger,omitempty"`
}

// Longer is a linger, and what is billed with it.
type Longer struct {
	Linger setting.Duration `json:"linger"`
	Units  float64          `json:"billed_units_per_month"`
}

// USD is what the messages of 30 days cost at 1 USD per million units of 5 KB, the
// list price of us-east-1 (AWS IoT Core pricing, messaging, first billion).
func (n NorthPlan) USD() float64 {
	if n.Free {
		return 0
	}
	return n.Units / 1e6
}

// QueuePlan is how readings wait.
type QueuePlan struct {
	Dir         string `json:"dir"`
	CommitEvery string `json:"commit_every"` // as it is configured
	// PowerCut is the most that a power cut takes of polled readings while there is a
	// connection, Offline while there is none.
	PowerCut string `json:"power_cut"`
	Offline  string `json:"power_cut_offline"`
	// Lasts is how long readings are kept while there is no connection, of what is
	// polled alone, and Ends the setting that drops the first one then: max_size or
	// max_age. 0 if nothing is polled.
	Lasts time.Duration `json:"offline_for_ns,omitempty"`
	Ends  string        `json:"offline_ends,omitempty"`
	// Thinned is Lasts where readings become aggregates before any are dropped, and
	// ThinnedEnds the setting that drops the first ones then. 0 if nothing is thinned.
	Thinned     time.Duration `json:"offline_thinned_for_ns,omitempty"`
	ThinnedEnds string        `json:"offline_thinned_ends,omitempty"`
	// WhenFull is what happens then if max_size ends it.
	WhenFull string `json:"when_full"`
	// FlashBudget is the setting, and UsedUp the most that a power cut takes of polled
	// readings once it is used up, and a sensor waits while there is no connection.
	FlashBudget string `json:"flash_budget,omitempty"`
	UsedUp      string `json:"flash_budget_used_up,omitempty"`
	// Journal is the setting, and NoJournal why there will be none on this machine,
	// if that was looked at: then a crash takes as much as a power cut.
	Journal   string `json:"journal"`
	NoJournal string `json:"no_journal,omitempty"`
	// JournalEnds is the journal's folder if it may end with the container.
	JournalEnds string `json:"journal_ends_with_container,omitempty"`
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
	maps.DeleteFunc(m.Buses, func(name string, _ setup.Bus) bool { return unknown("buses", name) })
	maps.DeleteFunc(m.Devices, func(name string, d setup.Device) bool {
		return unknown("devices", name) || d.Bus != "" && unknown("buses", d.Bus)
	})
	return &c
}

func queuePlan(c *terms.Config) QueuePlan {
	p := QueuePlan{Dir: string(c.Dir), WhenFull: string(c.WhenFull), CommitEvery: c.CommitEvery.String(),
		Journal:  c.Journal,
		PowerCut: setting.Duration(c.CommitWithin(true)).String(),
		Offline:  setting.Duration(c.CommitWithin(false)).String()}
	if b := c.FlashBudget; b.Bytes > 0 {
		p.FlashBudget = b.String()
		p.UsedUp = setting.Duration(flash.Worst(b.Bytes, b.In()).Round(time.Second)).String()
	}
	return p
}

// plan is Plan for a configuration that is valid.
func (c *Config) plan() Plan {
	p := Plan{
		Gateway: c.Gateway,
		Buses:   modbus.Plan(c.Southbound.Modbus),
		Queue:   queuePlan(&c.Store),
		Console: c.Console.Listen,
	}
	for _, s := range c.Southbound.MQTT.Sensors {
		p.Rules = append(p.Rules, c.rulePlan(s.Name, s.Value))
	}
	p.North = c.northPlan(p.Buses)
	c.offlinePlan(&p.Queue, c.emissions(p.Buses, false))
	return p
}

// offlinePlan reckons how long there may be no connection.
func (c *Config) offlinePlan(q *QueuePlan, emissions []payload.Emission) {
	ends := func(byAge bool) string {
		if byAge {
			return "max_age " + c.Store.MaxAge.String()
		}
		return "max_size " + c.Store.MaxSize.String()
	}
	readings, aggregates, rest := 0.0, 0.0, 0.0 // a second
	for _, e := range emissions {
		for _, r := range e.Readings {
			each := 1 / e.Every.Seconds()
			readings += each
			if left := c.aggregates(e.Device, r.Point); left > 0 && left < each {
				aggregates += left
			} else {
				rest += each
			}
		}
	}
	lasts, byAge := c.Store.Offline(readings, int64(c.Store.MaxSize))
	if lasts == 0 {
		return
	}
	q.Lasts, q.Ends = lasts, ends(byAge)
	if aggregates > 0 {
		q.Thinned, byAge = c.Store.Thinned(lasts, aggregates, rest)
		q.ThinnedEnds = ends(byAge)
	}
}

// aggregates returns how many readings a second the aggregates of a point have when it is
// thinned as far as may be; 0 if it is not thinned.
func (c *Config) aggregates(device, point string) float64 {
	d := c.Southbound.Modbus.Devices[device]
	p := d.Points[point]
	t := p.Thin
	if t == nil {
		t = d.Thin.Of(point, p.Unit)
	}
	spans := t.Spans()
	if len(spans) == 0 || p.Report != nil {
		return 0
	}
	made := bridge.NewThin(spans, t.Kept()).Names(point)
	return float64(len(made)) / spans[len(spans)-1].Seconds()
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
	if s.Ignore {
		r.Ignored, r.Device, r.Points = true, "", []string{}
		return r
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

// What is proposed of a linger: so long, if it saves so much of the units.
const (
	longLinger = setting.Duration(10 * time.Second)
	worthwhile = 0.3
)

// Longer returns what a longer linger would save, nil if it is not much. Like
// [Loaded.Advice] it takes some time.
func (l *Loaded) Longer(p *Plan) *Longer {
	c := l.known()
	north := c.Northbound.AWSIoT
	if p.North.Free || north.Linger >= longLinger || p.North.Units < 1e5 { // less than 0.10 USD
		return nil
	}
	north.Linger = longLinger
	f, err := north.Forecast(c.Gateway, c.Labels, c.emissions(modbus.Plan(c.Southbound.Modbus), false))
	if err != nil || f.UnitsPerMonth() > (1-worthwhile)*p.North.Units {
		return nil
	}
	return &Longer{longLinger, f.UnitsPerMonth()}
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
	if c.Health.Every != 0 {
		all = append(all, payload.Emission{Device: c.Health.Device, Every: c.Health.Every.D(), Readings: vitals.Typical()})
	}
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
				value, info := payload.Typical(kind, len(all[i].Readings)), bridge.PointInfo{Type: kind}
				if strings.Contains(kind, "int") || strings.HasPrefix(kind, "bcd") {
					scaling := bridge.NewScaling(p.Scale, p.Offset)
					value, info.Places = scaling.Apply(value), scaling.Places()
				}
				all[i].Readings = append(all[i].Readings, bridge.Reading{Point: point, Value: value})
				all[i].Hints = append(all[i].Hints, proto.HintOf(&info))
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
		found := append(north.OverRate(c.Gateway, c.Labels, all, f),
			north.Advice(c.Gateway, c.Labels, all, f)...)
		problems = append(problems, setting.Under([]string{"northbound", "awsiot"}, found)...)
	}
	return l.located(append(problems, l.own(slices.Concat(
		advice.Ports(c.Southbound.MQTT, c.Console.Listen),
		setting.Under([]string{"southbound", "modbus"}, advice.Modbus(c.Southbound.Modbus, buses)),
		setting.Under([]string{"southbound", "mqtt"}, advice.MQTT(c.Southbound.MQTT)),
		setting.Under([]string{"northbound", "awsiot"}, advice.Uplink(&north.Config))))...))
}

// own drops the problems that stand in no file of the user's: what a profile of
// ours says is as it should be.
func (l *Loaded) own(problems []setting.Problem) []setting.Problem {
	return slices.DeleteFunc(problems, func(p setting.Problem) bool {
		at, _ := l.root.Find(p.Path, p.OnKey)
		return !slices.Contains(l.Files, at.File)
	})
}

// Here warns of what the configuration needs and this machine has not, or has and
// cannot use: serial ports, certificates, and by look the disk of the queue.
func (l *Loaded) Here(look func(dir string) disk.Place) []tree.Problem {
	c := l.known()
	sibling := l.sibling
	if sibling == nil {
		sibling = func(string) bool { return false }
	}
	var refused []tree.Problem
	if l.sibling != nil {
		refused = l.queueRefused(look)
	}
	return append(refused, l.located(slices.Concat(
		setting.Under([]string{"southbound", "modbus"}, advice.ModbusHere(c.Southbound.Modbus)),
		setting.Under([]string{"southbound", "mqtt"}, advice.MQTTHere(c.Southbound.MQTT)),
		setting.Under([]string{"northbound", "awsiot"},
			advice.UplinkHere(&c.Northbound.AWSIoT.Config, c.Gateway, sibling)),
		setting.Under([]string{"store"}, advice.QueueHere(string(c.Store.Dir), look))))...)
}

// Refusals are what makes a configuration impossible though each key is right:
// more messages or bytes than the uplink's rate takes, from the points that are
// delivered each time they are read: the queue would grow for ever. And by look a
// folder of the queue that this user cannot make or write here; of a gateway of a
// fleet, which may run elsewhere, that is a warning of [Loaded.Here]. Like
// [Loaded.Advice] it takes some time.
func (l *Loaded) Refusals(look func(dir string) disk.Place) []tree.Problem {
	var refused []tree.Problem
	if l.sibling == nil {
		refused = l.queueRefused(look)
	}
	c := l.known()
	north := &c.Northbound.AWSIoT
	all := c.emissions(modbus.Plan(c.Southbound.Modbus), true)
	f, err := north.Forecast(c.Gateway, c.Labels, all)
	if err != nil {
		return refused
	}
	return tree.Sorted(append(refused, l.located(
		setting.Under([]string{"northbound", "awsiot"}, north.OverRate(c.Gateway, c.Labels, all, f)))...))
}

// queueRefused says why the folder of the queue cannot be here.
func (l *Loaded) queueRefused(look func(dir string) disk.Place) []tree.Problem {
	if dir := l.root.At("store", "dir"); dir != nil && dir.Unknown {
		return nil
	}
	return l.located(setting.Under([]string{"store"}, advice.QueueRefused(string(l.Config.Store.Dir), look)))
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
