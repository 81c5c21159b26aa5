package awsiot

import (
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/setting"
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
func (c *Config) Forecast(gateway string, labels map[string]string, emissions []Emission) (Forecast, error) {
	f, err := newFormat(c, gateway, labels)
	if err != nil {
		return Forecast{}, err
	}
	s := &simulation{format: f, linger: c.Linger.D(), topics: make(map[string]*pile)}
	span := s.span(emissions)
	for _, b := range s.batches(emissions, span) {
		if err := s.add(b); err != nil {
			return Forecast{}, err
		}
	}
	for _, p := range s.topics {
		if err := s.send(p, len(p.entries)); err != nil {
			return Forecast{}, err
		}
	}
	seconds := span.Seconds()
	return Forecast{Topics: len(s.topics), Readings: float64(s.readings) / seconds, Messages: float64(s.messages) / seconds,
		Bytes: float64(s.bytes) / seconds, Units: float64(s.units) / seconds, Free: c.BasicIngest != ""}, nil
}

// Problems returns what of the forecast breaks the configured rate: the queue
// would grow for ever.
func (f Forecast) Problems(c *Config) []setting.Problem {
	var all []setting.Problem
	if c.Rate.Messages > 0 && f.Messages > c.Rate.Messages {
		all = append(all, setting.Problem{Path: []string{"topic"},
			Text: fmt.Sprintf("the configured points make %.0f messages per second on %d topics, the rate allows %.0f", f.Messages, f.Topics, c.Rate.Messages),
			Fix:  "leave {device} out of the topic, use format rows or columns, or raise linger"})
	}
	if c.Rate.Bytes > 0 && f.Bytes > float64(c.Rate.Bytes) {
		all = append(all, setting.Problem{Path: []string{"rate", "bytes"},
			Text: fmt.Sprintf("the configured points make %.0f bytes per second, the rate allows %d", f.Bytes, c.Rate.Bytes),
			Fix:  "read less often, deliver on change only, or use format columns"})
	}
	return all
}

// simulation packs batches as the forwarder does while nothing waits: a message
// goes when it is full, or when its first batch has lingered.
type simulation struct {
	format   bridge.Format
	linger   time.Duration
	topics   map[string]*pile
	seq      uint64
	readings int
	messages int
	bytes    int
	units    int
}

// pile is what waits for a message of one topic.
type pile struct {
	entries []bridge.Entry
	size    int
}

const (
	leastSpan = time.Minute
	mostSpan  = time.Hour
	// mostSimulated bounds the work for very large configurations.
	mostSimulated = 2_000_000 // readings
)

// span returns how long to simulate: several times the longest interval.
func (s *simulation) span(emissions []Emission) time.Duration {
	span, perSecond := leastSpan, 0.0
	for _, e := range emissions {
		span = max(span, 4*e.Every)
		perSecond += float64(len(e.Readings)) / max(e.Every, time.Millisecond).Seconds()
	}
	span = min(span, mostSpan)
	if perSecond*span.Seconds() > mostSimulated {
		span = max(time.Duration(mostSimulated/perSecond*float64(time.Second)), 2*time.Second)
	}
	return span
}

// batches returns all that is emitted in a span, in the order of time.
func (s *simulation) batches(emissions []Emission, span time.Duration) []bridge.Batch {
	start := time.UnixMilli(1_767_225_600_000) // a time with as many digits as any of this century
	var all []bridge.Batch
	for _, e := range emissions {
		every := max(e.Every, time.Millisecond)
		for t := time.Duration(0); t < span; t += every {
			all = append(all, bridge.Batch{Device: e.Device, At: start.Add(t), Readings: e.Readings})
		}
	}
	slices.SortStableFunc(all, func(a, b bridge.Batch) int { return a.At.Compare(b.At) })
	return all
}

// add emits a batch, in parts if it is too large for a message.
func (s *simulation) add(b bridge.Batch) error {
	s.readings += len(b.Readings)
	for _, p := range s.topics {
		if len(p.entries) > 0 && b.At.Sub(p.entries[0].At) >= s.linger {
			if err := s.send(p, len(p.entries)); err != nil {
				return err
			}
		}
	}
	topic := s.format.Topic(&b)
	p := s.topics[topic]
	if p == nil {
		p = new(pile)
		s.topics[topic] = p
	}
	for len(b.Readings) > 0 {
		n, size := s.format.Fit(&b)
		part := b
		part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
		s.seq++
		p.entries = append(p.entries, bridge.Entry{Run: "01234567", Seq: s.seq, Batch: part})
		if p.size += size; p.size >= s.format.Room() {
			if err := s.send(p, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// send packs messages until at least n of the pile's batches are gone.
func (s *simulation) send(p *pile, n int) error {
	for n > 0 && len(p.entries) > 0 {
		m, packed, err := s.format.Pack(p.entries)
		if err != nil {
			return err
		}
		size := len(m.Topic) + len(m.ContentType) + len(m.Payload)
		s.messages++
		s.bytes += size
		s.units += (size + unit - 1) / unit
		p.entries = p.entries[packed:]
		n -= packed
	}
	p.size = 0
	for i := range p.entries {
		_, size := s.format.Fit(&p.entries[i].Batch)
		p.size += size
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
