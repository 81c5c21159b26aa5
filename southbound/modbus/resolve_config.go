package modbus

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// resolved is a configuration with every default and inheritance applied.
type resolved struct {
	buses   map[string]busSpec // by address
	devices map[string]deviceSpec
}

// busSpec is a bus, resolved. Buses with equal specs are the same.
type busSpec struct {
	name         string // as configured; the URL where a device names its own
	address      address
	timeout      time.Duration
	retries      int
	pause        time.Duration
	connectDelay time.Duration
}

// cost is what requests take on the bus before anything was measured, with a
// pause after each.
func (b busSpec) cost(pause time.Duration) cost {
	return cost{request: tcpRequest + pause, word: tcpWord}
}

// What a request takes over TCP: PLCs answer in 2 to 20 ms, mostly once a scan
// cycle, and registers hardly count.
const (
	tcpRequest = 5 * time.Millisecond
	tcpWord    = 10 * time.Microsecond
)

// resolve applies defaults and inheritance to a valid configuration. Buses of
// the same address are one: the first by name gives the settings.
func resolve(cfg Config) resolved {
	r := resolved{buses: make(map[string]busSpec), devices: make(map[string]deviceSpec)}
	keys := make(map[string]string) // bus name to key
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
		spec := deviceSpec{name: name, bus: key, unit: byte(d.UnitID), config: d,
			timeout: bus.timeout, retries: bus.retries, pause: bus.pause,
			limits: limits{words: d.MaxWords, bits: d.MaxBits, gap: -1}}
		if d.Timeout != nil {
			spec.timeout = d.Timeout.D()
		}
		if d.Retries != nil {
			spec.retries = *d.Retries
		}
		if d.Pause != nil {
			spec.pause = d.Pause.D()
		}
		if d.MaxGap != nil {
			spec.limits.gap = *d.MaxGap
		}
		spec.fields, _ = resolveFields(d)
		r.devices[name] = spec
	}
	return r
}

// add adds a bus unless its address is known, and returns its key.
func (r *resolved) add(name string, b Bus) string {
	a, err := parseURL(b.URL)
	if err != nil {
		return "" // can't be: the configuration is valid
	}
	key := a.String()
	if _, ok := r.buses[key]; ok {
		return key
	}
	if name == "" {
		name = strings.TrimPrefix(key, a.scheme+"://")
	}
	r.buses[key] = busSpec{name: name, address: a, timeout: b.Timeout.D(), retries: b.Retries,
		pause: b.Pause.D(), connectDelay: b.ConnectDelay.D()}
	return key
}
