package modbus

import (
	"maps"
	"slices"
	"strings"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/poll"
	"fieldbridge/southbound/modbus/wire"
)

// resolved is a configuration with every default and inheritance applied.
type resolved struct {
	buses   map[string]poll.BusSpec // by address
	devices map[string]deviceSpec
}

// resolve applies defaults and inheritance to a valid configuration. Buses of
// the same address are one: the first by name gives the settings.
func resolve(cfg Config) resolved {
	r := resolved{buses: make(map[string]poll.BusSpec), devices: make(map[string]deviceSpec)}
	keys := make(map[string]string) // bus name to key
	points := newShelf()
	for _, name := range slices.Sorted(maps.Keys(cfg.Buses)) {
		keys[name] = r.add(name, cfg.Buses[name])
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Devices)) {
		d := cfg.Devices[name]
		key, ok := keys[d.Bus]
		if !ok {
			var b Bus
			b.SetDefaults()
			b.URL = d.URL
			key = r.add("", b)
		}
		bus := r.buses[key]
		spec := deviceSpec{config: d, DeviceSpec: poll.DeviceSpec{Bus: key, Every: d.Every.D(), Way: d.Write,
			Unit:   wire.Unit{Name: name, ID: byte(d.UnitID), Timeout: bus.Timeout, Retries: bus.Retries, Pause: bus.Pause},
			Limits: plan.Limits{Words: d.MaxWords, Bits: d.MaxBits, Gap: -1}}}
		if d.Timeout != nil {
			spec.Timeout = d.Timeout.D()
		}
		if d.Retries != nil {
			spec.Retries = *d.Retries
		}
		if d.Pause != nil {
			spec.Pause = d.Pause.D()
		}
		if d.MaxGap != nil {
			spec.Limits.Gap = *d.MaxGap
		}
		spec.Fields = points.fields(d)
		spec.config.Points = nil
		r.devices[name] = spec
	}
	return r
}

// add adds a bus unless its address is known, and returns its key.
func (r *resolved) add(name string, b Bus) string {
	a, err := wire.ParseURL(b.URL)
	if err != nil {
		return "" // cannot be: the configuration is valid
	}
	key := a.String()
	if _, ok := r.buses[key]; ok {
		return key
	}
	if name == "" {
		name = strings.TrimPrefix(key, a.Scheme+"://")
	}
	spec := poll.BusSpec{Name: name, Timeout: b.Timeout.D(), Retries: b.Retries, Pause: b.Pause.D(),
		IdleClose: b.IdleClose.D(), Place: wire.Place{Address: a, ConnectTimeout: b.Timeout.D(),
			ConnectDelay: b.ConnectDelay.D(), Pipeline: b.Pipeline}}
	if a.Scheme == "rtu" {
		spec.Serial = wire.Serial{Device: a.Host, Baud: b.Baud, DataBits: b.DataBits, Parity: wire.Parity(b.Parity),
			StopBits: b.StopBits}
		if b.RS485 != nil {
			spec.Turns = true
			spec.RS485 = wire.RS485{RTSOnSend: b.RS485.RTSOnSend, RTSAfterSend: b.RS485.RTSAfterSend,
				DelayBefore: b.RS485.DelayBefore.D(), DelayAfter: b.RS485.DelayAfter.D()}
		}
	}
	if b.TLS != nil {
		spec.TLS = wire.TLS{CA: b.TLS.CA, Certificate: b.TLS.Certificate, PrivateKey: b.TLS.PrivateKey, ServerName: b.TLS.ServerName}
	}
	r.buses[key] = spec
	return key
}
