package complete

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"

	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/southbound/modbus"
)

// names are what a gateway has, with a description of each.
type names struct {
	devices, buses map[string]string
	fields         map[string][]pointNamed // points, by Modbus device
}

// pointNamed is a point of a Modbus device.
type pointNamed struct {
	name, unit          string
	writable, writeOnly bool
}

// points returns the points that are meant, with after behind each, of the device that
// is typed, or that alone begins so; of several devices their names, with open behind
// each.
func (n names) points(typed, open, after string, meant func(pointNamed) bool) map[string]string {
	all := make(map[string]string)
	begun := 0
	for device, points := range n.fields {
		if strings.HasPrefix(device, typed) && slices.ContainsFunc(points, meant) {
			all[device+open] = n.devices[device]
			begun++
		}
	}
	for device, points := range n.fields {
		if !strings.HasPrefix(typed, device) && (begun > 1 || !strings.HasPrefix(device, typed)) {
			continue
		}
		for _, p := range points {
			if meant(p) {
				all[device+"."+p.name+after] = p.unit
			}
		}
		if open != "" && slices.ContainsFunc(points, meant) {
			delete(all, device+open) // its points stand there
		}
	}
	return all
}

// names returns what the gateways of all places have.
func (at asked) names() names {
	all := names{make(map[string]string), make(map[string]string), make(map[string][]pointNamed)}
	for _, place := range at.places() {
		info, err := os.Stat(place)
		dir := place
		if err == nil && !info.IsDir() {
			all.read(at, place, at.gateway)
			dir = configs.QueueDir(at, place, at.gateway)
		}
		all.ask(at, dir)
	}
	return all
}

// ofFile returns what the file that stands before has.
func (at asked) ofFile() names {
	if len(at.args) == 0 {
		return names{}
	}
	at.args = at.args[:1]
	if _, err := os.Stat(at.args[0]); err != nil {
		return names{} // a URL
	}
	return at.names()
}

// fleet returns the gateways of the places.
func (at asked) fleet() map[string]string {
	all := make(map[string]string)
	for _, place := range at.places() {
		if fleet, err := configs.LoadFleet(at, place); err == nil {
			for _, g := range fleet.Gateways {
				all[g.Name] = strings.Join(g.Groups, ", ")
			}
		} else if l, err := configs.LoadGateway(at, place, ""); err == nil {
			all[l.Config.Gateway] = place
		}
	}
	return all
}

// read adds what a file says.
func (n names) read(ctx context.Context, file, gateway string) {
	l, err := configs.LoadField(ctx, file, gateway)
	if err != nil {
		return
	}
	cfg := l.Config.Southbound.Modbus
	for device := range maps.Keys(cfg.Devices) {
		d, bus, err := modbus.ByHand(cfg, device)
		if err != nil {
			continue
		}
		n.devices[device] = bus
		for _, f := range append(d.Fields, d.Others...) {
			n.fields[device] = append(n.fields[device],
				pointNamed{f.Name, f.Unit, f.Writable != nil, f.WriteOnly()})
		}
	}
	for _, s := range l.Config.Southbound.MQTT.Sensors {
		if device := s.Value.Device; device != "" && !strings.ContainsRune(device, '{') && !s.Value.Ignore {
			n.devices[device] = "mqtt " + s.Value.Broker
		}
	}
	for bus, b := range cfg.Buses {
		n.buses[bus] = b.URL
	}
}

// ask adds what the gateway says whose queue is in dir.
func (n names) ask(ctx context.Context, dir string) {
	if dir == "" {
		return
	}
	data, err := control.Get(ctx, dir, "/status")
	var s control.Status
	if err != nil || json.Unmarshal(data, &s) != nil {
		return
	}
	for _, d := range s.Devices {
		n.devices[d.Device] = d.Via
	}
	for _, b := range s.Buses {
		n.buses[b.Bus] = b.Address
	}
}
