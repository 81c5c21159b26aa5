package modbus

import (
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
)

// BusPlan is what is asked of one bus.
type BusPlan struct {
	Bus  string `json:"bus"`  // its name, or the URL where a device names its own
	Link string `json:"link"` // what it is, for people: "tcp://10.0.0.5:502"
	// Load is the estimated share of the bus's time that the reads take: 0.25
	// is a quarter; above 1 it cannot be done.
	Load float64 `json:"load"`
	// Measured is how many of its devices the gateway has measured: of these, Load
	// has how long they take to answer, of others an assumption.
	Measured int `json:"measured,omitempty"`
	// Fits is, where Load is above 1, the interval that the one asked for most
	// often would have to be: all intervals that much longer.
	Fits setting.Duration `json:"fits,omitempty"`
	// GivenUp are points, as device.point, that their device was found to refuse.
	GivenUp []string `json:"given_up,omitempty"`
	// Learnt is, by device, what it was found to allow, for people.
	Learnt map[string]string `json:"learnt,omitempty"`
	Blocks []BlockPlan       `json:"blocks"`
	// Upkeep is what the gateway writes by itself, for people, by device.
	Upkeep map[string][]string `json:"upkeep,omitempty"`
}

// BlockPlan is one request that is repeated.
type BlockPlan struct {
	Device string `json:"device"`
	// Models are SunSpec models whose place on the device is not known yet: then
	// Address counts from the register of the id of the first that it has.
	Models  []int            `json:"sunspec,omitempty"`
	UnitID  int              `json:"unit_id"`
	Table   string           `json:"table"`   // coil, discrete, input, holding, fifo, object, or "file 4"
	Address int              `json:"address"` // of the first register, zero-based
	Count   int              `json:"count"`   // registers, or bits
	Points  []string         `json:"points"`  // in order of address
	Every   setting.Duration `json:"every"`
	// Takes is the estimated time on the bus of one request and its answer.
	Takes setting.Duration `json:"takes"`
}

// Plan returns which blocks each bus reads and how often, sorted by bus, device
// and interval. It is pure; cfg must have passed [Config.Validate].
func Plan(cfg setup.Config) []BusPlan {
	return planWith(cfg, func(string) plan.Learnt { return plan.Learnt{} })
}

// PlanLearnt is Plan with what s remembers of the devices' limits.
func PlanLearnt(cfg setup.Config, s bridge.State) []BusPlan {
	return planWith(cfg, func(device string) plan.Learnt { return recall(s, device, time.Now()) })
}

func planWith(cfg setup.Config, facts func(device string) plan.Learnt) []BusPlan {
	resolved := setup.Resolve(cfg)
	plans := make(map[string]*BusPlan)
	for key, b := range resolved.Buses {
		plans[key] = &BusPlan{Bus: b.Name, Link: b.String(), Blocks: []BlockPlan{}}
	}
	for _, name := range slices.Sorted(maps.Keys(resolved.Devices)) {
		d := resolved.Devices[name]
		of, bus := plans[d.Bus], resolved.Buses[d.Bus]
		known := facts(d.Name)
		if known.Trip > 0 {
			of.Measured++
		}
		price := known.Price(bus.Cost(d.Pause))
		for _, same := range plan.Runs(d.Fields, func(a, b *point.Field) bool { return a.Every == b.Every }) {
			every, laid := same[0].Every, known.Lay(same, d.Limits, price)
			for i := range laid.Blocks {
				b := &laid.Blocks[i]
				takes := price.Takes(b.Table, b.Count)
				of.Load += float64(takes) / float64(every)
				table, address := b.Ask().Where()
				of.Blocks = append(of.Blocks, BlockPlan{Device: name, Models: b.Models(), UnitID: int(d.ID),
					Table: table, Address: address, Count: b.Count, Points: b.Names(), Every: setting.Duration(every),
					Takes: setting.Duration(takes)})
			}
			for _, lost := range laid.Lost {
				of.GivenUp = append(of.GivenUp, name+"."+lost)
			}
		}
		if d.Upkeep != nil {
			if of.Upkeep == nil {
				of.Upkeep = make(map[string][]string)
			}
			of.Upkeep[name] = d.Upkeep.Tell()
		}
		if known.Tells() {
			if of.Learnt == nil {
				of.Learnt = make(map[string]string)
			}
			of.Learnt[name] = known.String()
		}
	}
	for key, p := range plans {
		p.Load /= float64(max(1, resolved.Buses[key].Pipeline))
		p.fit()
	}
	return order.Sorted(func(yield func(BusPlan) bool) {
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
	const step = setting.Duration(100 * time.Millisecond)
	p.Fits = setting.Duration(p.Load*float64(shortest))/step*step + step
}
