package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
)

// registers is how many holding registers a device has: more answer with an exception.
const registers = 10

// plant is the devices of all gateways: a unit of a Modbus simulator for each.
type plant struct {
	sim     *modbustest.Simulator
	address string
}

func newPlant(devices int) (*plant, error) {
	p := &plant{sim: modbustest.New()}
	for unit := 1; unit <= devices; unit++ {
		p.sim.Unit(byte(unit)).Only(modbustest.Holding, 0, registers)
	}
	var err error
	p.address, err = p.sim.Listen("127.0.0.1:0")
	return p, err
}

// run serves the devices until ctx ends; their values change.
func (p *plant) run(ctx context.Context, devices int) error {
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := uint16(0); ctx.Err() == nil; n++ {
			for unit := 1; unit <= devices; unit++ {
				p.sim.Unit(byte(unit)).Set(modbustest.Holding, 0, n, n+1, n+2)
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return p.sim.Run(ctx)
}

// fleet is what a fleet file is made of.
type fleet struct {
	gateways           []string
	canaries           int // the first of them
	endpoint, ca, keys string
	machines           string // the folder of the machines' folders
	modbus             string // the address of the plant
	points             string // of each press
}

// The points of a press, as the fleet file has them from commit to commit.
const (
	firstPoints  = "force: {holding: 0}"
	goodPoints   = "force: {holding: 0}, strokes: {holding: 1}"
	brokenPoints = "force: {holding: 40}, strokes: {holding: 1}" // of another press
)

// text returns the fleet file.
func (f fleet) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `fleet: presses
defaults:
  northbound:
    awsiot:
      endpoint: %q
      server_name: localhost
      ca: %q
      certificate: "%s/${gateway}/device.pem"
      private_key: "%[3]s/${gateway}/device.key"
      topic: plant/{gateway}
      shadow: {name: gateway, every: 10s}
      backoff: {min: 1s, max: 3s}
      rate: {bytes: 0} # this cloud is not AWS, and a file takes half of the rate
      jobs: [config, update, rotate, restart, diagnose]
  store: {dir: "%[3]s/${gateway}/queue", max_size: 16MiB, min_free: 256KiB, segment_size: 1MiB}
  southbound:
    modbus:
      buses:
        plc: {url: "tcp://%s"}
      devices:
        press:
          bus: plc
          unit_id: "${unit}"
          every: 1s
          points: {%s}
  updates: {keys: [%q]}
groups:
  canary: {labels: {ring: first}}
  others: {labels: {ring: second}}
gateways:
`, f.endpoint, f.ca, f.machines, f.modbus, f.points, f.keys)
	for i, name := range f.gateways {
		group := "others"
		if i < f.canaries {
			group = "canary"
		}
		fmt.Fprintf(&b, "  %s: {groups: [%s], vars: {unit: %d}}\n", name, group, i+1)
	}
	return b.String()
}
