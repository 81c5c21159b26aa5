package payload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Emission is a batch that a gateway is expected to emit again and again: the
// readings of one device and interval, with values of a typical length.
type Emission struct {
	Device   string
	Every    time.Duration
	Readings []bridge.Reading
}

// Forecast is what a configuration costs while the gateway is connected and
// nothing waits.
type Forecast struct {
	Topics   int     // that readings go to
	Readings float64 // per second
	Messages float64 // per second
	Bytes    float64 // per second, as AWS meters them
	Units    float64 // of 5 KB per second: what AWS bills
	// Free says that the messages themselves are not billed, only the rule:
	// Basic Ingest.
	Free bool
}

// month is what AWS's examples reckon with.
const month = 30 * 24 * time.Hour

// UnitsPerMonth returns the 5 KB units of thirty days.
func (f Forecast) UnitsPerMonth() float64 { return f.Units * month.Seconds() }

// BytesPerReading returns the bytes per reading, names and envelopes included.
func (f Forecast) BytesPerReading() float64 {
	if f.Readings == 0 {
		return 0
	}
	return f.Bytes / f.Readings
}

// unit is the step in which AWS meters messages.
const unit = 5120

// Forecast reckons what the emissions will cost, by packing what some minutes
// would bring. gateway and labels are those of the configuration.
func (s *Settings) Forecast(gateway string, labels map[string]string, emissions []Emission) (Forecast, error) {
	f, err := New(s, gateway, labels)
	if err != nil {
		return Forecast{}, err
	}
	sim := &simulation{format: f, linger: s.Linger.D(), ordered: s.Order == OldestFirst,
		topics: make(map[string]*bridge.Group)}
	span := sim.span(emissions)
	for _, b := range sim.batches(emissions, span) {
		if err := sim.add(b); err != nil {
			return Forecast{}, err
		}
	}
	if err := sim.end(); err != nil {
		return Forecast{}, err
	}
	perSecond := func(n int) float64 {
		return float64(n) / span.Seconds() * float64(sim.readings) / float64(max(sim.sent, 1))
	}
	return Forecast{Topics: len(sim.topics), Readings: float64(sim.readings) / span.Seconds(),
		Messages: perSecond(sim.messages), Bytes: perSecond(sim.bytes), Units: perSecond(sim.units),
		Free: s.BasicIngest != ""}, nil
}

// Problems returns what of the forecast is more than the messages and bytes per
// second that the uplink may take, 0 for no limit: the queue would grow for ever.
func (f Forecast) Problems(messages, bytes float64) []setting.Problem {
	var all []setting.Problem
	if messages > 0 && f.Messages > messages {
		all = append(all, setting.Problem{Path: []string{"topic"},
			Text: fmt.Sprintf("the configured points make %.0f messages per second on %d topics, the rate allows %.0f",
				f.Messages, f.Topics, messages),
			Fix: "leave {device} out of the topic, use format rows or columns, or raise linger"})
	}
	if bytes > 0 && f.Bytes > bytes {
		all = append(all, setting.Problem{Path: []string{"rate", "bytes"},
			Text: fmt.Sprintf("the configured points make %.0f bytes per second, the rate allows %.0f", f.Bytes, bytes),
			Fix:  "read less often, deliver on change only, or use format columns"})
	}
	return all
}

// Advice returns, as warnings, what would be cheaper than s; f is its own
// forecast for the emissions.
func (s *Settings) Advice(
	gateway string, labels map[string]string, emissions []Emission, f Forecast,
) []setting.Problem {
	if s.Format != Columns || f.Units == 0 {
		return nil
	}
	other := *s
	other.Format = Rows
	rows, err := other.Forecast(gateway, labels, emissions)
	if err != nil || rows.Units >= f.Units {
		return nil
	}
	return []setting.Problem{{Path: []string{"format"}, Warning: true,
		Text: fmt.Sprintf("columns makes %.0f units of 5 KB per hour of these points, rows would make %.0f: a message has "+
			"too few readings of each device", f.Units*3600, rows.Units*3600),
		Fix: "raise linger to 10s or more, for hundreds of points max_message, too, or use rows"}}
}

// simulation packs batches as the forwarder does while nothing waits: a message
// goes when it is full, or when its first batch has lingered.
type simulation struct {
	format   bridge.Format
	linger   time.Duration
	ordered  bool
	topics   map[string]*bridge.Group
	seq      uint64
	readings int // emitted
	sent     int // readings of the messages below
	messages int
	bytes    int
	units    int
}

const (
	leastSpan = time.Minute
	mostSpan  = time.Hour
	// mostSimulated bounds the work for very large configurations.
	mostSimulated = 2_000_000 // readings
)

// span returns how long to simulate: several times the longest interval and
// linger.
func (s *simulation) span(emissions []Emission) time.Duration {
	span, perSecond := leastSpan, 0.0
	for _, e := range emissions {
		span = max(span, 4*e.Every, 8*s.linger)
		perSecond += float64(len(e.Readings)) / max(e.Every, time.Millisecond).Seconds()
	}
	span = min(span, mostSpan)
	if perSecond*span.Seconds() > mostSimulated {
		span = max(time.Duration(mostSimulated/perSecond*float64(time.Second)), 2*time.Second)
	}
	return span
}

// jitter is by how much batches come early or late. It matters where linger is
// the interval: whether a device's next batch is in time for the message is
// chance.
const jitter = time.Millisecond

// batches returns all that is emitted in a span, in the order of time. The
// devices are spread over their intervals, as they are when they are polled.
func (s *simulation) batches(emissions []Emission, span time.Duration) []bridge.Batch {
	start := time.UnixMilli(1_767_225_600_000) // a time with as many digits as any of this century
	random := rand.New(rand.NewPCG(1, 2))      // the same forecast for the same configuration
	var all []bridge.Batch
	for _, e := range emissions {
		every := max(e.Every, time.Millisecond)
		phase := time.Duration(random.Int64N(int64(every)))
		for t := phase; t < span; t += every {
			off := time.Duration(random.Int64N(int64(2*min(jitter, every/4) + 1)))
			all = append(all, bridge.Batch{Device: e.Device, At: start.Add(t + off), Readings: e.Readings})
		}
	}
	slices.SortStableFunc(all, func(a, b bridge.Batch) int { return a.At.Compare(b.At) })
	return all
}

// add emits a batch, in parts if it is too large for a message.
func (s *simulation) add(b bridge.Batch) error {
	s.readings += len(b.Readings)
	for _, g := range s.topics {
		for g.Len() > 0 && !b.At.Before(g.Due()) {
			if err := s.send(g); err != nil {
				return err
			}
		}
	}
	topic := s.format.Topic(&b)
	g := s.topics[topic]
	if g == nil {
		g = bridge.NewGroup(s.format, s.ordered)
		s.topics[topic] = g
	}
	for len(b.Readings) > 0 {
		n, _ := s.format.Fit(&b)
		part := b
		part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
		s.seq++
		g.Add(&bridge.Entry{Run: "01234567", Seq: s.seq, Position: bridge.Position(s.seq), Batch: part}, b.At.Add(s.linger))
		if g.Full() {
			if err := s.send(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends one message of a group.
func (s *simulation) send(g *bridge.Group) error {
	m, packed, err := g.Pack()
	if err != nil {
		return err
	}
	size := len(m.Topic) + len(m.ContentType) + len(m.Payload)
	for i := range packed {
		s.sent += len(packed[i].Readings)
	}
	s.messages++
	s.bytes += size
	s.units += (size + unit - 1) / unit
	g.Drop(len(packed))
	return nil
}

// end ends the simulation. What still waits would be in messages that are not
// full yet: it is taken to go as what has gone before, if there is any.
func (s *simulation) end() error {
	for _, g := range s.topics {
		for g.Len() > 0 && s.sent < s.readings/2 {
			if err := s.send(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// Typical returns a value of a configured type with as many digits as such
// values mostly have, for a [Forecast]. scaled is for integers with a scale.
func Typical(kind string, scaled bool) bridge.Value {
	switch kind {
	case "bool":
		return bridge.Bool(true)
	case "int8", "uint8":
		return typicalNumber(73, scaled)
	case "int16", "uint16":
		return typicalNumber(12345, scaled)
	case "int32", "uint32", "bcd16", "bcd32":
		return typicalNumber(123456, scaled)
	case "int64", "uint64":
		return typicalNumber(123456789, scaled)
	case "float32":
		return bridge.Float32(71.5234)
	case "string":
		return bridge.String("0123456789abcdef")
	}
	return bridge.Float64(71.52)
}

func typicalNumber(n int64, scaled bool) bridge.Value {
	if scaled {
		return bridge.Float64(float64(n) / 10)
	}
	return bridge.Int(n)
}
