package configs

import (
	"fmt"
	"strings"

	"fieldbridge/configs/fleet"
	"fieldbridge/configs/tree"
	"fieldbridge/southbound/modbus"
)

// WarningsOf returns the warnings of the fleet and of its gateways, each told
// once. Files missing on this machine do not count: gateways have theirs.
func (f *Fleet) WarningsOf(gateways []*Loaded) []tree.Problem {
	found := fleet.NewFindings()
	addresses := make(map[string]string)
	for i, l := range gateways {
		name := f.Gateways[i].Name
		for _, w := range append(l.Warnings, l.Advice()...) {
			found.Add(w, name)
		}
		for _, p := range l.sharedDevices(name, addresses) {
			found.Add(p, name)
		}
	}
	return tree.Sorted(append(found.Problems(len(gateways)), f.Warnings...))
}

// sharedDevices finds devices that another gateway polls at the same address.
// Sites may use the same private addresses, so that this is only a warning.
func (l *Loaded) sharedDevices(gateway string, addresses map[string]string) []tree.Problem {
	var problems []tree.Problem
	for _, bus := range modbus.Plan(l.known().Southbound.Modbus) {
		told := make(map[string]bool)
		for _, b := range bus.Blocks {
			if told[b.Device] || !strings.Contains(bus.Link, "://") || strings.Contains(bus.Link, ":///") {
				continue
			}
			told[b.Device] = true
			address := fmt.Sprintf("%s unit %d", bus.Link, b.UnitID)
			if other, ok := addresses[address]; ok && other != gateway {
				at := l.Position("southbound", "modbus", "devices", b.Device)
				problems = append(problems, tree.NewProblem(at,
					fmt.Sprintf("device %s at %s is also polled by gateway %s", b.Device, address, other),
					"if it is the same device, let one gateway poll it"))
				continue
			}
			addresses[address] = gateway
		}
	}
	return problems
}

// duplicates finds gateways that would throw each other off the cloud.
func (f *Fleet) duplicates(loaded []*Loaded, found *fleet.Findings) {
	first := make(map[string]string)
	for i, l := range loaded {
		id := l.Config.ClientID()
		name := f.Gateways[i].Name
		if other, ok := first[id]; ok {
			found.Add(tree.NewProblem(l.Position("northbound", "awsiot", "client_id"),
				fmt.Sprintf("client id %q is also that of gateway %s", id, other),
				"give each gateway its own: two with one id throw each other out"), name)
			continue
		}
		first[id] = name
	}
}
