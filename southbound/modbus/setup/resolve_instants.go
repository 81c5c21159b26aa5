package setup

import (
	"slices"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// instants is how many instants of an interval devices share that have so many requests
// due in it: some forty to fifty at each, which fast devices have answered within some
// 5 ms, one after the other. More devices share none. What they read with linger 0 goes
// in few enough messages for the burst that the rate allows.
func instants(requests int) int {
	switch {
	case requests <= 80:
		return 2
	case requests <= 200:
		return 4
	}
	return 0
}

// gather has devices that are alone on their connection polled at few instants of an
// interval: each instant wakes the gateway anew, which costs more than a request.
// Devices that share a line wait for one another anyway, and keep apart; so do many,
// which would wait for one another, too.
func (r *Resolved) gather() {
	sharing := make(map[string]int)
	for _, d := range r.Devices {
		sharing[d.Bus]++
	}
	alone := func(d DeviceSpec) bool { return sharing[d.Bus] == 1 && !r.Buses[d.Bus].Address.Serial() }
	asked := make(map[*point.Field]int) // of devices that have their points in common
	total := 0
	var in spec.Instants
	for _, d := range r.Devices {
		if len(d.Fields) == 0 || !alone(d) {
			continue
		}
		if asked[d.Fields[0]] == 0 {
			asked[d.Fields[0]] = requests(d.Fields)
		}
		total += asked[d.Fields[0]]
		if first := d.Fields[0].Every; in.Every == 0 || first < in.Every {
			in.Every = first
		}
	}
	in.Shared = instants(total)
	for name, d := range r.Devices {
		if alone(d) {
			d.Instants = in
			r.Devices[name] = d
		}
	}
}

// requests is about how many a cycle of all fields takes: they lie by interval,
// table and address.
func requests(fields []*point.Field) (n int) {
	most := [wire.Tables]int{wire.Coil: 2000, wire.Discrete: 2000, wire.Input: 125, wire.Holding: 125}
	var first *point.Field
	for _, f := range fields {
		if first == nil || f.Every != first.Every || f.Table != first.Table || !slices.Equal(f.Models, first.Models) ||
			f.Address+f.Words-first.Address > most[f.Table] {
			first = f
			n++
		}
	}
	return n
}
