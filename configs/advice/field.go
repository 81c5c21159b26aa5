// Package advice finds what a configuration says that is allowed and hardly meant,
// or that cannot be on this machine: the mistakes of who stands at a cabinet with a
// manual. All of it are warnings, at paths below the section that is looked at, but
// for a folder of the queue that cannot be.
package advice

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	"fieldbridge/order"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
	"fieldbridge/southbound/mqtt"
)

// Modbus looks at section southbound.modbus, of which buses are planned.
func Modbus(c setup.Config, buses []modbus.BusPlan) (found setting.Found) {
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		notation(&found, c.Devices[name].Points, "devices", name, "points")
		overlap(&found, c.Devices[name].Points, "devices", name, "points")
		host(&found, c.Devices[name].URL, "devices", name, "url")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Buses)) {
		host(&found, c.Buses[name].URL, "buses", name, "url")
	}
	for _, bus := range buses {
		units(&found, bus)
	}
	return found
}

// tables are those that manuals number, with the first digit of five.
var tables = []struct {
	key   string
	digit int
	at    func(setup.Point) *int
}{
	{"discrete", 1, func(p setup.Point) *int { return p.Discrete }},
	{"input", 3, func(p setup.Point) *int { return p.Input }},
	{"holding", 4, func(p setup.Point) *int { return p.Holding }},
}

// notation warns of addresses that look as manuals print them, and are taken as
// they stand: 40001 is the first holding register there, and address 0 on the wire
// (Modbus Application Protocol V1.1b3, section 4.4). The first of a device is told.
func notation(found *setting.Found, points map[string]setup.Point, path ...string) {
	first, n := setting.Problem{Warning: true}, 0
	for _, name := range slices.Sorted(maps.Keys(points)) {
		p := points[name]
		for _, t := range tables {
			at := t.at(p)
			if at == nil || *at/10000 != t.digit || *at%10000 == 0 || p.SunSpec != nil {
				continue
			}
			if n++; n > 1 {
				continue
			}
			first.Path = slices.Concat(path, []string{name, t.key})
			first.Text = fmt.Sprintf("%s: %d is read at address %d on the wire", t.key, *at, *at)
			first.Fix = fmt.Sprintf("if it is the manual's notation write ref: %d, which is %s: %d; else leave it", *at, t.key,
				*at%10000-1)
		}
	}
	switch {
	case n == 2:
		first.Text += " (and another point of the device is alike)"
	case n > 2:
		first.Text += fmt.Sprintf(" (and %d more points of the device are alike)", n-1)
	}
	if n > 0 {
		*found = append(*found, first)
	}
}

// overlap warns of two numbers that share some of their registers, and not all of
// either's: who counts values where the device counts registers writes float32 at 0,
// 1 and 2. The first of a device is told.
func overlap(found *setting.Found, points map[string]setup.Point, path ...string) {
	type number struct {
		name, key  string
		first, end int
	}
	tables := make(map[string][]number)
	for _, name := range slices.Sorted(maps.Keys(points)) {
		p := points[name]
		key, at := "input", p.Input
		if at == nil {
			key, at = "holding", p.Holding
		}
		f, err := p.Field()
		if err != nil || at == nil || p.SunSpec != nil || f.Words < 2 || f.Kind == point.KindString {
			continue
		}
		tables[key] = append(tables[key], number{name, key, *at, *at + f.Words})
	}
	for _, key := range slices.Sorted(maps.Keys(tables)) {
		all := tables[key]
		order.Stably(all, func(a, b number) int { return a.first - b.first })
		for i, b := range all {
			for _, a := range all[:i] {
				if a.first < b.first && b.first < a.end && a.end < b.end {
					found.Warn(fmt.Sprintf("%s: %d is in the middle of point %s, which takes the registers %d to %d", key, b.first,
						a.name, a.first, a.end-1), "each register has an address of its own: correct the address, or the type",
						slices.Concat(path, []string{b.name, key})...)
					return
				}
			}
		}
	}
}

// dotted is what is meant as an address of IPv4.
var dotted = regexp.MustCompile(`^\d+(\.\d+){1,4}$`)

// host warns of what is written as an address of IPv4 and is none: it would be asked
// for as a name, and nobody knows it.
func host(found *setting.Found, url string, path ...string) {
	at, err := wire.ParseURL(url)
	if err != nil || at.Serial() {
		return
	}
	name, _, err := net.SplitHostPort(at.Host)
	if err == nil && dotted.MatchString(name) && net.ParseIP(name) == nil {
		found.Warn(name+" is no address", "an IPv4 address is four numbers from 0 to 255, without leading zeros", path...)
	}
}

// units warns of two devices that are one unit of a bus.
func units(found *setting.Found, bus modbus.BusPlan) {
	known := make(map[int]string)
	told := make(map[string]bool)
	for _, b := range bus.Blocks {
		other, taken := known[b.UnitID]
		if !taken {
			known[b.UnitID] = b.Device
		}
		if taken && other != b.Device && !told[b.Device] {
			told[b.Device] = true
			found.Warn(fmt.Sprintf("device %s is unit %d of this bus, too", other, b.UnitID),
				"right for one device that is polled in two rhythms; else correct unit_id", "devices", b.Device, "unit_id")
		}
	}
}

// MQTT looks at section southbound.mqtt.
func MQTT(c mqtt.Config) (found setting.Found) {
	taken := make(map[[2]string]string) // rules by device and point
	for _, s := range c.Sensors {
		device := s.Value.Device
		if device == "" || strings.Contains(device, "{") || s.Value.Ignore {
			continue
		}
		points := slices.Sorted(maps.Keys(s.Value.Points))
		if s.Value.Point != "" {
			points = append(points, s.Value.Point)
		}
		for _, point := range points {
			other, ok := taken[[2]string{device, point}]
			if !ok && !strings.Contains(point, "{") && point != "*" {
				taken[[2]string{device, point}] = s.Name
			}
			if ok {
				found.Warn(fmt.Sprintf("rule %s makes point %s of device %s, too: nobody can tell their readings apart", other,
					point, device), "give one of them another device or point", "sensors", s.Name, "device")
				break
			}
		}
	}
	return found
}
