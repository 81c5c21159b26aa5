package payload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
	"fieldbridge/order"
	"fieldbridge/setting"
)

// Emission is a batch that a gateway is expected to emit again and again: the
// readings of one device and interval, with values of a typical length.
type Emission struct {
	Device   string
	Every    time.Duration
	Readings []bridge.Reading
	// Hints are what is known of the points, one for each of Readings; nil knows nothing.
	Hints []proto.Hint
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

// given are numbers that all points have.
type given struct{ book *proto.Book }

func (g given) Book() *proto.Book     { return g.book }
func (g given) Unknown(*bridge.Batch) {}

// numbered gives numbers to the points of emissions, as a gateway that runs has done.
func numbered(emissions []Emission) given {
	book := new(proto.Book)
	for i := range emissions {
		e := &emissions[i]
		var points []proto.Point
		for j, r := range e.Readings {
			h := proto.Hint{Places: -1}
			if e.Hints != nil {
				h = e.Hints[j]
			}
			points = append(points, proto.PointFor(r.Point, r.Value, h))
		}
		book, _ = book.Add(e.Device, points, nil)
	}
	return given{book}
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
	f, err := New(s, gateway, labels, numbered(emissions))
	if err != nil {
		return Forecast{}, err
	}
	sim := &simulation{format: f, linger: s.Linger.D(), ordered: s.Order == OldestFirst,
		oneEach: strings.Contains(s.Topic, "{point}"),
		topics:  make(map[string]*bridge.Group)}
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

// Rate is what the uplink may take per second; 0 is no limit.
type Rate struct{ Messages, Bytes float64 }

// holds reports whether f is within the rate.
func (r Rate) holds(f Forecast) bool {
	return (r.Messages <= 0 || f.Messages <= r.Messages) && (r.Bytes <= 0 || f.Bytes <= r.Bytes)
}

// Excess returns what of f, the forecast of s for the emissions, is more than the
// uplink may take: the queue would grow for ever. What it advises was tried.
func (s *Settings) Excess(
	gateway string, labels map[string]string, emissions []Emission, f Forecast, rate Rate,
) []setting.Problem {
	if rate.holds(f) {
		return nil
	}
	fix := s.remedy(gateway, labels, emissions, rate)
	var all []setting.Problem
	if rate.Messages > 0 && f.Messages > rate.Messages {
		on := fmt.Sprintf("%d topics", f.Topics)
		if f.Topics == 1 {
			on = "one topic"
		}
		digits := 0
		if f.Messages < 100 { // so that it is seen to be more
			digits = 1
		}
		all = append(all, setting.Problem{Path: []string{"topic"}, Fix: fix,
			Text: fmt.Sprintf("the configured points make %.*f messages per second on %s, the rate allows %g",
				digits, f.Messages, on, rate.Messages)})
	}
	if rate.Bytes > 0 && f.Bytes > rate.Bytes {
		all = append(all, setting.Problem{Path: []string{"rate", "bytes"}, Fix: fix,
			Text: fmt.Sprintf("the configured points make %.0f bytes per second, the rate allows %.0f", f.Bytes, rate.Bytes)})
	}
	return all
}

// remedy returns what brings the emissions within the rate: each change that does so by
// itself, else the few that do together; and format protobuf, which asks most of who
// reads the messages.
func (s *Settings) remedy(gateway string, labels map[string]string, emissions []Emission, rate Rate) string {
	const lessOften = "read less often, or deliver on change only"
	all := s.changes()
	works := func(changes ...change) bool {
		other := *s
		for _, c := range changes {
			c.make(&other)
		}
		f, err := other.Forecast(gateway, labels, emissions)
		return err == nil && rate.holds(f.with(spareOfAdvice))
	}
	packed := change{"use format protobuf", func(o *Settings) { o.Format = Protobuf }}
	if !works(append(slices.Clone(all), packed)...) { // nothing is less than all of it
		return lessOften + ": no format or linger makes it fit"
	}
	var ways []string
	for _, c := range all {
		if works(c) {
			ways = append(ways, c.text)
		}
	}
	if len(ways) == 0 && works(all...) {
		ways = append(ways, together(all, works))
	}
	if s.Format != Protobuf && works(packed) {
		ways = append(ways, packed.text)
	}
	if len(ways) == 0 {
		ways = append(ways, together(append(all, packed), works))
	}
	separator := ", or "
	if strings.Contains(ways[0], " and ") {
		separator = "; or "
	}
	return strings.Join(append(ways, lessOften), separator)
}

// change is one of settings that makes messages fewer or shorter.
type change struct {
	text string
	make func(*Settings)
}

// changes returns those that s has not yet, the least first.
func (s *Settings) changes() (all []change) {
	add := func(there bool, text string, make func(*Settings)) {
		if !there {
			all = append(all, change{text, make})
		}
	}
	for _, name := range []string{"{point}", "{device}"} {
		add(!strings.Contains(s.Topic, name), "leave "+name+" out of the topic", func(o *Settings) { o.without(name) })
	}
	add(s.Format != Flat, "use format rows", func(o *Settings) { o.Format = Rows })
	add(s.Linger.D() >= 10*time.Second, "raise linger to 10s",
		func(o *Settings) { o.Linger = setting.Duration(10 * time.Second) })
	add(s.Format == Columns || s.Format == Protobuf, "use format columns", func(o *Settings) { o.Format = Columns })
	add(s.MaxMessage >= 100<<10, "raise max_message to 100KiB", func(o *Settings) { o.MaxMessage = 100 << 10 })
	return all
}

// together returns what of changes that work, made one after the other, it takes.
func together(all []change, works func(...change) bool) string {
	n := 1
	for n < len(all) && !works(all[:n]...) {
		n++
	}
	need := slices.Clone(all[:n])
	for i := 0; i < len(need); {
		if without := slices.Delete(slices.Clone(need), i, i+1); works(without...) {
			need = without
		} else {
			i++
		}
	}
	var texts []string
	for _, c := range need {
		texts = append(texts, c.text)
	}
	return strings.Join(texts, " and ")
}

// spareOfAdvice is by how much what is advised is below the rate: forecasts are so near
// to what is metered.
const spareOfAdvice = 1.05

func (f Forecast) with(factor float64) Forecast {
	f.Messages *= factor
	f.Bytes *= factor
	return f
}

// Advice returns, as warnings, what would be cheaper than s; f is its own
// forecast for the emissions.
func (s *Settings) Advice(
	gateway string, labels map[string]string, emissions []Emission, f Forecast,
) []setting.Problem {
	var all []setting.Problem
	cheaper := func(change func(*Settings)) float64 {
		other := *s
		change(&other)
		if g, err := other.Forecast(gateway, labels, emissions); err == nil {
			return g.Units
		}
		return f.Units
	}
	if s.Format == Columns && f.Units > 0 {
		if rows := cheaper(func(o *Settings) { o.Format = Rows }); rows < f.Units {
			all = append(all, setting.Problem{Path: []string{"format"}, Warning: true,
				Text: fmt.Sprintf("columns makes %.0f units of 5 KB per hour of these points, rows would make %.0f: a message "+
					"has too few readings of each device", f.Units*3600, rows*3600),
				Fix: "raise linger to 10s or more, for hundreds of points max_message, too, or use rows"})
		}
	}
	for _, own := range []struct{ name, what, fix string }{
		{"{point}", "point", "leave {point} out, each reading names its point; or raise linger"},
		{"{device}", "device", "leave {device} out, each batch names its device; or raise linger"},
	} {
		if !strings.Contains(s.Topic, own.name) || s.Format == Flat && own.what == "device" || f.Units == 0 || f.Free {
			continue
		}
		one := cheaper(func(o *Settings) { o.without(own.name) })
		if f.Units < dearTopics*one {
			continue
		}
		all = append(all, setting.Problem{Path: []string{"topic"}, Warning: true,
			Text: fmt.Sprintf("%s in the topic makes %.1f million units of 5 KB a month of these points, one topic for "+
				"all would make %.1f: a message then has one %s alone", own.name, f.UnitsPerMonth()/1e6,
				one*month.Seconds()/1e6, own.what),
			Fix: own.fix})
	}
	return all
}

// without has topics no longer tell by name, as "{device}", where readings are from.
func (s *Settings) without(name string) { s.Topic = strings.ReplaceAll(s.Topic, name, "all") }

// dearTopics is from how many times the units on a topic for each device is worth
// a warning.
const dearTopics = 1.5

// simulation packs batches as the forwarder does while nothing waits: a message
// goes when it is full, or when its first batch has lingered.
type simulation struct {
	format   bridge.Format
	linger   time.Duration
	ordered  bool
	oneEach  bool // each reading is a batch of its own
	topics   map[string]*bridge.Group
	waiting  []lingerer // one for each batch that was added, first those that are due first
	seq      uint64
	readings int // emitted
	sent     int // readings of the messages below
	messages int
	bytes    int
	units    int
}

// lingerer is a topic whose messages may be due.
type lingerer struct {
	due   time.Time
	group *bridge.Group
}

const (
	leastSpan = time.Minute
	mostSpan  = time.Hour
	// mostSimulated bounds the work for very large configurations.
	mostSimulated = 600_000 // readings
	// batchWork is how many readings a batch is as much work as.
	batchWork = 5
)

// span returns how long to simulate: several times the longest interval and
// linger.
func (s *simulation) span(emissions []Emission) time.Duration {
	span, perSecond := leastSpan, 0.0
	for _, e := range emissions {
		span = max(span, 4*e.Every, 8*s.linger)
		work := batchWork + len(e.Readings)
		if s.oneEach {
			work = (batchWork + 1) * len(e.Readings)
		}
		perSecond += float64(work) / max(e.Every, time.Millisecond).Seconds()
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

// wakeLag is how much later than it is due a message goes: what comes meanwhile goes
// along. It matters where jitter does; measured on batches a message of devices with
// topics of their own (1.69 of 8 devices, each second at a linger of 1 s).
const wakeLag = 450 * time.Microsecond

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
	order.Stably(all, func(a, b bridge.Batch) int { return a.At.Compare(b.At) })
	return all
}

// add emits a batch, in parts if it is too large for a message.
func (s *simulation) add(b bridge.Batch) error {
	s.readings += len(b.Readings)
	for len(s.waiting) > 0 && !b.At.Before(s.waiting[0].due.Add(wakeLag)) {
		g := s.waiting[0].group
		s.waiting = s.waiting[1:]
		for g.Len() > 0 && !b.At.Before(g.Due().Add(wakeLag)) {
			if err := s.send(g); err != nil {
				return err
			}
		}
	}
	due := b.At.Add(s.linger)
	for len(b.Readings) > 0 {
		n, _ := s.format.Fit(&b)
		part := b
		part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
		s.seq++
		topic := s.format.Topic(&part)
		g := s.topics[topic]
		if g == nil {
			g = bridge.NewGroup(s.format, s.ordered)
			s.topics[topic] = g
		}
		g.Add(&bridge.Entry{Run: "01234567", Seq: s.seq, Position: bridge.Position(s.seq), Batch: part}, due)
		s.waiting = append(s.waiting, lingerer{due, g})
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

// Typical returns a value of a configured type, before it is scaled, with as many digits
// as such values mostly have, for a [Forecast]: of the n-th point of many. Of 16 bits
// three in four take three bytes as a varint, as values do that are spread evenly; all
// have five digits.
func Typical(kind string, n int) bridge.Value {
	switch kind {
	case "bool":
		return bridge.Bool(true)
	case "int8":
		return bridge.Int(73)
	case "uint8":
		return bridge.Uint(73)
	case "int16":
		return bridge.Int(12345)
	case "uint16":
		if n%4 > 0 {
			return bridge.Uint(43215)
		}
		return bridge.Uint(12345)
	case "int32":
		return bridge.Int(123456)
	case "uint32", "bcd16", "bcd32":
		return bridge.Uint(123456)
	case "int64":
		return bridge.Int(123456789)
	case "uint64":
		return bridge.Uint(123456789)
	case "float32":
		return bridge.Float32(71.5234)
	case "string":
		return bridge.String("0123456789abcdef")
	}
	return bridge.Float64(71.52)
}
