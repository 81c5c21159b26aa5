package gateway

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/gateway/control"
)

// Status tells everything about the gateway. It is safe for concurrent use, after
// the end of Run, too.
func (g *Gateway) Status() control.Status {
	applied := g.change.Status()
	s := control.Status{
		Gateway: g.name, Run: g.queue.Run(), Version: g.version, Started: g.started, Now: time.Now(),
		Config: applied.Hash, Change: &applied,
		Link: g.sink.Link(), Queue: g.queue.Status(), Buses: g.modbus.Buses(), Commands: g.sink.Commands(),
		Intervals: g.modbus.Intervals(), Conditions: g.view.Conditions(),
	}
	for _, d := range []bridge.DeviceReporter{g.modbus, g.mqtt} {
		s.Devices = append(s.Devices, d.Devices()...)
	}
	return s
}

// Page returns where the console's page is, "" while it does not listen.
func (g *Gateway) Page() string { return g.view.URL() }

// Broker returns where the embedded broker of that name listens, nil while it
// does not.
func (g *Gateway) Broker(name string) net.Addr { return g.mqtt.Addr(name) }

// values returns the newest readings of a device. They are kept only while
// someone looks: the first call returns none.
func (g *Gateway) values(device string) (control.Values, error) {
	all, _, _ := g.catalogue.Snapshot()
	i, found := slices.BinarySearchFunc(all, device,
		func(d bridge.DeviceInfo, name string) int { return strings.Compare(d.Device, name) })
	if !found {
		return control.Values{}, fmt.Errorf("%w %s", console.ErrNoDevice, device)
	}
	points, ok := g.collector.Latest(device)
	if !ok {
		return control.Values{}, errors.New("too many other devices are looked at: try again in half a minute")
	}
	units := make(map[string]string)
	for _, p := range all[i].Points {
		units[p.Name] = p.Unit
	}
	answer := control.Values{Device: device, Now: time.Now(), Points: []control.Value{}}
	for _, p := range points {
		v := control.Value{Point: p.Point, Unit: units[p.Point], At: p.At}
		if p.Value.Good() {
			v.Text = p.Value.String()
		} else {
			v.Bad = p.Value.Reason().String()
		}
		answer.Points = append(answer.Points, v)
	}
	return answer, nil
}
