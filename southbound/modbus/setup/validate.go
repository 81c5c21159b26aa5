package setup

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/upkeep"
	"fieldbridge/southbound/modbus/wire"
)

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem {
	var problems []setting.Problem
	points := newShelf()
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		d := c.Devices[name]
		problems = append(problems, c.validateDevice(name, d, points)...)
	}
	at := make(map[wire.Address]string)
	for _, name := range slices.Sorted(maps.Keys(c.Buses)) {
		f := finder{path: []string{"buses", name}}
		f.bus(c.Buses[name])
		if a, err := wire.ParseURL(c.Buses[name].URL); err == nil {
			if other := at[a]; other != "" {
				f.bad("url", "bus "+other+" is at the same place, its settings count",
					"the same place is the same bus: keep one, and name it for all devices")
				f.problems[len(f.problems)-1].Warning = true
			}
			at[a] = name
		}
		problems = append(problems, f.problems...)
	}
	return problems
}

const maxRetries = 10

func (c Config) validateDevice(name string, d Device, points *shelf) []setting.Problem {
	f := finder{path: []string{"devices", name}}
	if !bridge.ValidDevice(name) {
		f.on(fmt.Sprintf("%q cannot name a device", name), "use 1 to 64 letters, digits, '.', '_' or '-'")
	}
	c.validateBus(&f, d)
	switch outside, line := d.UnitID < 0 || d.UnitID > 255, c.serial(d); {
	case outside && line:
		f.bad("unit_id", fmt.Sprintf("unit id %d on a line", d.UnitID), "use 1 to 255, or 0 for all units at once")
	case outside:
		f.bad("unit_id", fmt.Sprintf("unit id %d", d.UnitID), "use 0 to 255")
	case line && d.UnitID == 0:
		f.allUnits(d)
	}
	if d.Every.D() < MinEvery {
		f.bad("every", "an interval of "+d.Every.String(), "use at least 10ms")
	}
	if _, ok := point.Orders[strings.ToUpper(d.Order)]; !ok || len(d.Order) != 4 {
		f.bad("order", fmt.Sprintf("%q is not an order", d.Order), orders(d.Order)+": it holds at any width")
	}
	if d.Base != 0 && d.Base != 1 {
		f.bad("base", fmt.Sprintf("addresses from %d", d.Base), "use 0, or 1 where the manual counts from 1")
	}
	if ways := []string{set.Auto, set.Single, set.Multiple}; !slices.Contains(ways, d.Write) {
		f.bad("write", fmt.Sprintf("%q is not a way of writing", d.Write), suggest(d.Write, ways))
	}
	if d.Timeout != nil && *d.Timeout <= 0 {
		f.bad("timeout", "no time for an answer", "use 1s, or what the device needs")
	}
	if d.Retries != nil && (*d.Retries < 0 || *d.Retries > maxRetries) {
		f.bad("retries", fmt.Sprintf("%d retries", *d.Retries), "use 0 to 10")
	}
	if d.MaxWords < 1 || d.MaxWords > point.MaxWords {
		f.bad("max_words", fmt.Sprintf("%d registers in one request", d.MaxWords), "use 1 to 125")
	}
	if d.MaxBits < 1 || d.MaxBits > point.MaxBits {
		f.bad("max_bits", fmt.Sprintf("%d bits in one request", d.MaxBits), "use 1 to 2000")
	}
	if x := d.Exchange; x != nil {
		first := x.Holding - d.Base
		if len(x.Values) < 1 || len(x.Values) > wire.MaxExchange || first < 0 || first+len(x.Values) > 1<<16 {
			f.bad("exchange", fmt.Sprintf("%d registers at %d", len(x.Values), x.Holding),
				"function 23 writes 1 to 121 registers: {holding: 100, values: [0]}")
		}
		for i, v := range x.Values {
			if v < 0 || v > 0xffff {
				f.bad(fmt.Sprintf("exchange/values/%d", i), fmt.Sprintf("register of %d", v), "use 0 to 65535")
			}
		}
	}
	if _, ok := lengths[d.Lengths]; !ok {
		f.bad("lengths", fmt.Sprintf("%q are no lengths", d.Lengths), suggest(d.Lengths, []string{"any", "even", "eights"}))
	}
	if d.MaxGap != nil && *d.MaxGap < 0 {
		f.bad("max_gap", fmt.Sprintf("a gap of %d", *d.MaxGap), "use 0 to read nothing in vain, or remove it")
	}
	for _, id := range d.SunSpec {
		if id < 1 || id >= plan.SunSpecEnd {
			f.bad("sunspec", fmt.Sprintf("model %d", id), "SunSpec models are 1 to 65534")
		}
	}
	if d.Instances < 1 || d.Instances > maxInstances {
		f.bad("instances", fmt.Sprintf("%d instances of a model", d.Instances), "use 1 to 20")
	}
	if len(d.Points) == 0 {
		f.on("a device without points", "add points, or a profile that has them")
	}
	fields, problems := points.fields(d)
	keeps, more := resolveUpkeep(d, fields)
	c.slowKeeps(&f, keeps, d)
	return append(f.problems, setting.Under(f.path, slices.Concat(problems, more))...)
}

// serial reports whether d's frames travel on a serial line, where 0 is all
// units at once. The specification reserves 248 to 255; there are units that use
// them.
func (c Config) serial(d Device) bool {
	url := d.URL
	if url == "" {
		url = c.Buses[d.Bus].URL
	}
	a, err := wire.ParseURL(url)
	return err == nil && !a.Numbered()
}

// slowKeeps warns of points that cannot be kept in time beside a device that is
// silent: a request to one takes the line so long.
func (c Config) slowKeeps(f *finder, spec *upkeep.Spec, of Device) {
	if spec == nil {
		return
	}
	var silent time.Duration
	for _, d := range c.Devices {
		if d.Bus != of.Bus || d.URL != of.URL {
			continue
		}
		timeout, retries := c.Buses[d.Bus].Timeout.D(), c.Buses[d.Bus].Retries
		if d.URL != "" {
			var b Bus
			b.SetDefaults()
			timeout, retries = b.Timeout.D(), b.Retries
		}
		if d.Timeout != nil {
			timeout = d.Timeout.D()
		}
		if d.Retries != nil {
			retries = *d.Retries
		}
		silent = max(silent, timeout*time.Duration(1+retries))
	}
	for _, k := range spec.Keeps {
		if k.Every >= silent {
			continue
		}
		f.bad("points/"+k.Field.Name+"/keep/every",
			fmt.Sprintf("kept each %v, and a device that falls silent takes the line for %v", k.Every, silent),
			"give the devices there a shorter timeout, or retries: 0")
		f.problems[len(f.problems)-1].Warning = true
	}
}

// validateBus checks how a device says where it is.
func (c Config) validateBus(f *finder, d Device) {
	switch {
	case d.Bus != "" && d.URL != "":
		f.bad("url", "bus and url together", "keep one of them")
	case d.URL != "":
		if _, err := wire.ParseURL(d.URL); err != nil {
			f.bad("url", err.Error(), urlFix)
		}
	case d.Bus == "":
		f.on("a device without bus", "add bus: NAME, or url: tcp://HOST for a device that is alone there")
	default:
		if _, ok := c.Buses[d.Bus]; ok {
			return
		}
		fix := suggest(d.Bus, slices.Sorted(maps.Keys(c.Buses)))
		if len(c.Buses) == 0 {
			fix = "add buses: {" + d.Bus + ": {url: tcp://HOST}}"
		}
		f.bad("bus", fmt.Sprintf("there is no bus %q", d.Bus), fix)
	}
}
