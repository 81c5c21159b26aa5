package setup

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// resolved is a configuration with every default and inheritance applied.
type Resolved struct {
	Buses   map[string]spec.Bus // by address
	Devices map[string]DeviceSpec
}

// resolve applies defaults and inheritance to a valid configuration. Buses of
// the same address are one: the first by name gives the settings.
func Resolve(cfg Config) Resolved {
	r := Resolved{Buses: make(map[string]spec.Bus), Devices: make(map[string]DeviceSpec)}
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
		bus := r.Buses[key]
		spec := DeviceSpec{Config: d, Device: spec.Device{Bus: key, Every: d.Every.D(), Way: d.Write,
			Unit: wire.Unit{Name: name, ID: byte(d.UnitID), Timeout: bus.Timeout, Retries: bus.Retries, Pause: bus.Pause},
			Limits: plan.Limits{Words: d.MaxWords, Bits: d.MaxBits, Gap: -1,
				Stepped: lengths[d.Lengths]}}}
		if x := d.Exchange; x != nil {
			spec.Exchange = &wire.Exchange{First: uint16(x.Holding - d.Base)}
			for _, v := range x.Values {
				spec.Exchange.Words = binary.BigEndian.AppendUint16(spec.Exchange.Words, uint16(v))
			}
		}
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
		spec.Fields, _ = points.fields(d)
		spec.Upkeep, _ = resolveUpkeep(d, spec.Fields)
		spec.setOthers()
		spec.Config.Points = nil
		r.Devices[name] = spec
	}
	r.gather()
	return r
}

// add adds a bus unless its address is known, and returns its key.
func (r *Resolved) add(name string, b Bus) string {
	a, err := wire.ParseURL(b.URL)
	if err != nil {
		return "" // cannot be: the configuration is valid
	}
	key := a.String()
	if _, ok := r.Buses[key]; ok {
		return key
	}
	if name == "" {
		name = strings.TrimPrefix(key, a.Scheme+"://")
	}
	spec := spec.Bus{Name: name, Timeout: b.Timeout.D(), Retries: b.Retries, Pause: b.Pause.D(),
		IdleClose: b.IdleClose.D(), Place: wire.Place{Address: a, ConnectTimeout: b.Timeout.D(),
			ConnectDelay: b.ConnectDelay.D(), Pipeline: b.Pipeline,
			Unnumbered: b.IgnoreTransactionIDs}}
	if a.Serial() {
		spec.Serial = wire.Serial{Device: a.Host, Baud: b.Baud, DataBits: b.dataBits(a), Parity: wire.Parity(b.Parity),
			StopBits: b.StopBits}
		if b.RS485 != nil {
			spec.Turns = true
			spec.RS485 = wire.RS485{RTSOnSend: b.RS485.RTSOnSend, RTSAfterSend: b.RS485.RTSAfterSend,
				DelayBefore: b.RS485.DelayBefore.D(), DelayAfter: b.RS485.DelayAfter.D()}
		}
	}
	if b.TLS != nil {
		spec.TLS = wire.TLS(*b.TLS)
	}
	r.Buses[key] = spec
	return key
}

// lengths are the tables of which a device answers in steps only, by what the
// configuration says.
var lengths = map[string][]wire.Table{"": nil, "any": nil, "even": {wire.Input, wire.Holding},
	"eights": {wire.Coil, wire.Discrete}}
