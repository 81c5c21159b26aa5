package modbus

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// BusPlan is what is asked of one bus.
type BusPlan struct {
	Bus  string `json:"bus"`  // its name, or the URL where a device names its own
	Link string `json:"link"` // what it is, for people: "tcp://10.0.0.5:502"
	// Load is the estimated share of the bus's time that the reads take: 0.25
	// is a quarter; above 1 it can't be done.
	Load float64 `json:"load"`
	// Fits is, where Load is above 1, the interval that the one asked for most
	// often would have to be: all intervals that much longer.
	Fits time.Duration `json:"fits,omitempty"`
	// GivenUp are points, as device.point, that their device was found to refuse.
	GivenUp []string `json:"given_up,omitempty"`
	// Learnt is, by device, what it was found to allow, for people.
	Learnt map[string]string `json:"learnt,omitempty"`
	Blocks []BlockPlan       `json:"blocks"`
}

// BlockPlan is one request that is repeated.
type BlockPlan struct {
	Device string `json:"device"`
	// Models are SunSpec models whose place on the device is not known yet: then
	// Address counts from the register of the id of the first that it has.
	Models  []int         `json:"sunspec,omitempty"`
	UnitID  int           `json:"unit_id"`
	Table   string        `json:"table"`   // coil, discrete, input or holding
	Address int           `json:"address"` // of the first register, zero-based
	Count   int           `json:"count"`   // registers, or bits
	Points  []string      `json:"points"`  // in order of address
	Every   time.Duration `json:"every"`
	// Takes is the estimated time on the bus of one request and its answer.
	Takes time.Duration `json:"takes"`
}

// Plan returns which blocks each bus reads and how often, sorted by bus, device
// and interval. It is pure; cfg must have passed [Config.Validate].
func Plan(cfg Config) []BusPlan {
	return plan(cfg, func(string) learnt { return learnt{} })
}

// PlanLearnt is Plan with what s remembers of the devices' limits.
func PlanLearnt(cfg Config, s bridge.State) []BusPlan {
	return plan(cfg, func(device string) learnt { return recall(s, device, time.Now()) })
}

func plan(cfg Config, facts func(device string) learnt) []BusPlan {
	resolved := resolve(cfg)
	plans := make(map[string]*BusPlan)
	for key, b := range resolved.buses {
		plans[key] = &BusPlan{Bus: b.name, Link: b.link(), Blocks: []BlockPlan{}}
	}
	for _, name := range slices.Sorted(maps.Keys(resolved.devices)) {
		d := resolved.devices[name]
		plan, bus := plans[d.bus], resolved.buses[d.bus]
		device := newDevice(d, bus.cost(d.pause))
		device.learnt = facts(d.name)
		for _, j := range device.jobs {
			j.plan()
			for _, b := range j.blocks {
				takes := device.price().takes(b.table, b.count)
				plan.Load += float64(takes) / float64(j.every)
				plan.Blocks = append(plan.Blocks, BlockPlan{Device: name, Models: b.models(), UnitID: int(d.unit), Table: b.table.String(),
					Address: b.first, Count: b.count, Points: b.names(), Every: j.every, Takes: takes})
			}
			for _, point := range j.lost {
				plan.GivenUp = append(plan.GivenUp, name+"."+point)
			}
		}
		if device.learnt.tells() {
			if plan.Learnt == nil {
				plan.Learnt = make(map[string]string)
			}
			plan.Learnt[name] = device.learnt.String()
		}
	}
	for key, p := range plans {
		p.Load /= float64(max(1, resolved.buses[key].pipeline))
		p.fit()
	}
	return slices.SortedFunc(func(yield func(BusPlan) bool) {
		for _, p := range plans {
			if !yield(*p) {
				return
			}
		}
	}, func(a, b BusPlan) int { return strings.Compare(a.Bus, b.Bus) })
}

// fit finds the interval at which the bus could do what is asked.
func (p *BusPlan) fit() {
	if p.Load <= 1 {
		return
	}
	shortest := p.Blocks[0].Every
	for _, b := range p.Blocks {
		shortest = min(shortest, b.Every)
	}
	const step = 100 * time.Millisecond
	p.Fits = time.Duration(p.Load*float64(shortest))/step*step + step
}

// block is a run of registers or bits read in one request.
type block struct {
	table  wire.Table
	first  int
	count  int
	fields []point.Placed

	failed int           // reads in a row that failed
	reason bridge.Reason // why
	again  time.Time     // when to try again, after silence
	told   bool          // it was logged
	took   time.Duration // a read, of late; 0 is not known

	part *part // of an inquiry; nil for a block of the plan
}

// models returns the SunSpec models that b's address counts in, nil where it is
// plain.
func (b *block) models() []int {
	if len(b.fields) == 0 {
		return nil
	}
	return b.fields[0].Models
}

func (b *block) names() []string {
	names := make([]string, len(b.fields))
	for i := range b.fields {
		names[i] = b.fields[i].Name
	}
	return names
}

// divide makes blocks of fields of one interval, which are sorted by table and
// address.
func divide(fields []*point.Field, l limits, c cost) []*block {
	var all []*block
	for _, table := range runs(fields, func(a, b *point.Field) bool { return a.Table == b.Table && slices.Equal(a.Models, b.Models) }) {
		all = append(all, blocks(table, l, c)...)
	}
	return all
}

// blocks makes the cheapest blocks of fields of one table.
func blocks(fields []*point.Field, l limits, c cost) []*block {
	fields = slices.Clone(fields)
	slices.SortStableFunc(fields, func(a, b *point.Field) int { return cmp.Compare(a.Reach().First, b.Reach().First) })
	items := make([]point.Span, len(fields))
	for i, f := range fields {
		items[i] = f.Reach()
	}
	var made []*block
	start := 0
	for _, end := range cover(fields[0].Table, items, l, c) {
		b := &block{table: fields[0].Table, first: items[start].First}
		for _, s := range items[start:end] {
			b.count = max(b.count, s.End-b.first)
		}
		b.take(fields[start:end])
		made = append(made, b)
		start = end
	}
	return made
}

// take puts fields in b, each with its place in b's data.
func (b *block) take(fields []*point.Field) {
	b.fields = make([]point.Placed, 0, len(fields))
	for _, f := range fields {
		s := point.Placed{Field: f, At: b.place(f.Address)}
		if f.Factor != nil {
			s.FactorAt = b.place(f.Factor.Address)
		}
		b.fields = append(b.fields, s)
	}
	slices.SortStableFunc(b.fields, func(x, y point.Placed) int { return cmp.Compare(x.Reach().First, y.Reach().First) })
}

// place returns where an address is in b's data.
func (b *block) place(address int) int32 {
	if b.table.Bits() {
		return int32(address - b.first)
	}
	return int32(2 * (address - b.first))
}

// runs splits s where neighbours are not alike.
func runs[T any](s []T, alike func(a, b T) bool) [][]T {
	var all [][]T
	start := 0
	for i := 1; i <= len(s); i++ {
		if i == len(s) || !alike(s[i-1], s[i]) {
			all = append(all, s[start:i])
			start = i
		}
	}
	return all
}
