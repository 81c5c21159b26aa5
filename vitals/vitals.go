// Package vitals is how the gateway is, as points of a device: for those who want
// it among their readings, with the same promise, and not only in the status, the
// metrics and the shadow.
package vitals

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
)

// Config is the section health.
type Config struct {
	// Every is how often the gateway reads itself, 1s or more. Without, it does not.
	Every setting.Duration `yaml:"every"`
	// Device is what the gateway is called as a device.
	Device string `yaml:"device"`
}

// SetDefaults sets what is used where the file says nothing.
func (c *Config) SetDefaults() { *c = Config{Device: "gateway"} }

// Validate returns what is wrong with c.
func (c Config) Validate() []setting.Problem {
	var found setting.Found
	if c.Every != 0 && c.Every.D() < time.Second {
		found.Add("every is "+c.Every.String(), "use 1s or more, 1m say, or leave health out", "every")
	}
	if !bridge.ValidDevice(c.Device) {
		found.Add("device is not a name", "use 1 to 64 letters, digits, '.', '_' or '-'", "device")
	}
	return found
}

// Figures are what is read.
type Figures struct {
	Started    time.Time
	Connected  bool
	Ledger     bridge.Ledger // since the start
	Backlog    uint64        // readings
	Disk       int64         // bytes of the queue
	Memory     int64         // bytes that the process has resident
	Oldest     time.Time     // of the oldest reading that waits; zero if none does
	Expires    time.Time     // of the gateway's certificate; zero if it is not known
	Devices    []bridge.DeviceStatus
	Buses      []bridge.BusStatus
	Conditions []condition.Condition
}

// points are what the device has, sorted by name.
var points = []struct {
	bridge.PointInfo
	read func(f *Figures, now time.Time) bridge.Value
}{
	{info("accepted", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Accepted.Readings })},
	{info("acknowledged", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Acked.Readings })},
	{info("alarms", "uint64", ""), count(func(f *Figures) uint64 { return severe(f, condition.Alarm) })},
	{info("backlog", "uint64", ""), count(func(f *Figures) uint64 { return f.Backlog })},
	{info("bad_points", "uint64", ""), count(func(f *Figures) (n uint64) {
		for _, d := range f.Devices {
			n += uint64(d.Bad)
		}
		return n
	})},
	{info("bus_load", "float64", ""), func(f *Figures, _ time.Time) bridge.Value {
		load := 0.0
		for _, b := range f.Buses {
			load = max(load, b.Load)
		}
		return bridge.Float64(load)
	}},
	{info("certificate_left", "int64", "s"), func(f *Figures, now time.Time) bridge.Value {
		if f.Expires.IsZero() {
			return bridge.Int(0)
		}
		return bridge.Int(int64(f.Expires.Sub(now) / time.Second))
	}},
	{info("connected", "bool", ""), func(f *Figures, _ time.Time) bridge.Value { return bridge.Bool(f.Connected) }},
	{info("damaged", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Damaged.Readings })},
	{info("dead", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Dead.Readings })},
	{info("disk", "int64", "B"), func(f *Figures, _ time.Time) bridge.Value { return bridge.Int(f.Disk) }},
	{info("dropped", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Dropped.Readings })},
	{info("memory", "int64", "B"), func(f *Figures, _ time.Time) bridge.Value { return bridge.Int(f.Memory) }},
	{info("oldest", "int64", "s"), func(f *Figures, now time.Time) bridge.Value {
		if f.Oldest.IsZero() {
			return bridge.Int(0)
		}
		return bridge.Int(int64(max(now.Sub(f.Oldest), 0) / time.Second))
	}},
	{info("problems", "string", ""), func(f *Figures, _ time.Time) bridge.Value { return bridge.String(problems(f)) }},
	{info("uptime", "int64", "s"), func(f *Figures, now time.Time) bridge.Value {
		return bridge.Int(int64(now.Sub(f.Started) / time.Second))
	}},
	{info("waiting", "uint64", ""), count(func(f *Figures) uint64 { return f.Ledger.Waiting.Readings })},
	{info("warnings", "uint64", ""), count(func(f *Figures) uint64 { return severe(f, condition.Warning) })},
}

func info(name, kind, unit string) bridge.PointInfo {
	return bridge.PointInfo{Name: name, Type: kind, Unit: unit}
}

func count(of func(*Figures) uint64) func(*Figures, time.Time) bridge.Value {
	return func(f *Figures, _ time.Time) bridge.Value { return bridge.Uint(of(f)) }
}

// severe counts the conditions of a severity.
func severe(f *Figures, s condition.Severity) (n uint64) {
	for _, c := range f.Conditions {
		if c.Severity == s {
			n++
		}
	}
	return n
}

// mostProblems is the longest text of problems, in bytes.
const mostProblems = 400

// problems names what is wrong by code and subject; "" is that all is well.
func problems(f *Figures) string {
	var all []string
	for _, c := range f.Conditions {
		all = append(all, c.Code+" "+c.Subject)
	}
	slices.Sort(all)
	text := strings.Join(all, ", ")
	if len(text) > mostProblems {
		cut := strings.LastIndex(text[:mostProblems], ", ")
		if cut < 0 {
			return "..." // one that is so long
		}
		text = text[:cut] + ", ..."
	}
	return text
}

// Source reads the gateway. Its methods are safe for concurrent use.
type Source struct {
	read      func() Figures
	catalogue *bridge.Catalogue

	mu      sync.Mutex
	config  Config        // guarded by mu
	changed chan struct{} // receives when config is new
}

var _ bridge.Source = (*Source)(nil)

// New returns a source of what read returns. It starts nothing.
func New(c Config, read func() Figures, catalogue *bridge.Catalogue) *Source {
	s := &Source{read: read, catalogue: catalogue, changed: make(chan struct{}, 1)}
	s.Apply(c)
	return s
}

// Apply changes to c while it runs.
func (s *Source) Apply(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config == c {
		return
	}
	if s.config.Every != 0 {
		s.catalogue.Remove(s.config.Device)
	}
	if s.config = c; c.Every != 0 {
		device := bridge.DeviceInfo{Device: c.Device}
		for _, p := range points {
			device.Points = append(device.Points, p.PointInfo)
		}
		s.catalogue.Put(device)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run implements [bridge.Source].
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		c := s.config
		s.mu.Unlock()
		s.runAs(ctx, c, emit)
	}
	return nil
}

// runAs reads until ctx ends or the configuration is another.
func (s *Source) runAs(ctx context.Context, c Config, emit bridge.Emit) {
	var due <-chan time.Time
	if c.Every != 0 {
		tick := time.NewTicker(c.Every.D())
		defer tick.Stop()
		due = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			return
		case <-due:
			emit(batch(c.Device, s.read(), time.Now()), nil)
		}
	}
}

// Typical returns readings of typical length, to reckon what they cost.
func Typical() []bridge.Reading {
	now := time.Now()
	f := Figures{Started: now.Add(-30 * 24 * time.Hour), Connected: true, Disk: 8 << 20, Memory: 32 << 20,
		Ledger:  bridge.Ledger{Accepted: bridge.Count{Readings: 1e7}, Acked: bridge.Count{Readings: 1e7}},
		Expires: now.Add(365 * 24 * time.Hour)}
	return batch("", f, now).Readings
}

// batch returns the readings of a moment.
func batch(device string, f Figures, now time.Time) bridge.Batch {
	b := bridge.Batch{Device: device, At: now}
	for _, p := range points {
		b.Readings = append(b.Readings, bridge.Reading{Point: p.Name, Value: p.read(&f, now)})
	}
	return b
}
