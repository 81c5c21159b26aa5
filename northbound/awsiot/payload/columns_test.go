package payload

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

var testLabels = map[string]string{"site": "brno", "area": "hall-2"}

func at(e bridge.Entry, ms int64) bridge.Entry {
	e.At = e.At.Add(time.Duration(ms) * time.Millisecond)
	return e
}

func reading(point string, v bridge.Value) bridge.Reading {
	return bridge.Reading{Point: point, Value: v}
}

func TestColumnsGolden(t *testing.T) {
	temp := func(f float64) bridge.Reading { return reading("supply_temp", bridge.Float64(f)) }
	running := reading("running", bridge.Bool(true))
	energyBad := reading("energy", bridge.Bad(bridge.Exception(2)))
	backlog := entry(9, "boiler", temp(1))
	backlog.Backlog, backlog.Unsynced = true, true
	tests := map[string]struct {
		entries []bridge.Entry
		labels  map[string]string
	}{
		"design": {[]bridge.Entry{entry(1042, "boiler", temp(71.5), running, energyBad),
			at(entry(1043, "boiler", temp(71.6), running), 1000),
			at(entry(1044, "boiler", running), 2000)}, nil},
		"interleaved": {[]bridge.Entry{entry(1, "a", temp(1)), entry(2, "b", running),
			at(entry(3, "a", temp(2)), 1000), at(entry(4, "b", running), 1001)}, nil},
		"new-points": {[]bridge.Entry{entry(1, "a", temp(1)), entry(2, "a", temp(2), running),
			entry(3, "a", running, temp(3)), entry(4, "a", energyBad)}, nil},
		"backlog": {[]bridge.Entry{backlog}, testLabels},
		"other-points-are-another-group": {[]bridge.Entry{entry(1, "a", many("x", 20)...), entry(2, "a", many("y", 20)...),
			entry(3, "a", many("x", 20)...)}, nil},
		"backwards":  {[]bridge.Entry{at(entry(9, "a", temp(1)), 5000), entry(3, "a", temp(2))}, nil},
		"no-reading": {[]bridge.Entry{entry(4, "a")}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := formatOf(t, Settings{Topic: "plant/{gateway}", MaxMessage: 5000, Format: Columns}, tt.labels)
			m, n, err := f.Pack(tt.entries)
			if err != nil || n != len(tt.entries) {
				t.Fatalf("Pack = %d, %v", n, err)
			}
			golden(t, "columns-"+name+".json", m.Payload)
			checkColumns(t, m.Payload, tt.entries)
		})
	}
}

func many(prefix string, n int) []bridge.Reading {
	var all []bridge.Reading
	for i := range n {
		all = append(all, reading(fmt.Sprint(prefix, "_", i), bridge.Uint(uint64(i))))
	}
	return all
}

// checkColumns reads a payload back and compares it with what was packed.
func checkColumns(t *testing.T, payload []byte, entries []bridge.Entry) {
	t.Helper()
	var got struct {
		Devices []struct {
			Device  string
			Seq, At []int64
			Points  map[string][]*json.RawMessage
			Bad     map[string]map[string]string
		}
	}
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	type key struct {
		device string
		seq    uint64
	}
	want := make(map[key]bridge.Entry)
	for _, e := range entries {
		want[key{e.Device, e.Seq}] = e
	}
	found := 0
	for _, d := range got.Devices {
		var seq, at int64
		for i := range d.Seq {
			seq, at = seq+d.Seq[i], at+d.At[i]
			e, ok := want[key{d.Device, uint64(seq)}]
			if !ok || e.At.UnixMilli() != at {
				t.Fatalf("batch %s %d at %d is unknown: %s", d.Device, seq, at, payload)
			}
			found++
			values := 0
			for _, r := range e.Readings {
				if !r.Value.Good() {
					if got := d.Bad[r.Point][strconv.Itoa(i)]; got != r.Value.Reason().String() {
						t.Fatalf("%s of batch %d: bad %q, want %v", r.Point, seq, got, r.Value)
					}
					continue
				}
				column := d.Points[r.Point]
				if len(column) != len(d.Seq) || column[i] == nil {
					t.Fatalf("%s of batch %d: column of %d for %d batches: %s", r.Point, seq, len(column), len(d.Seq), payload)
				}
				checkValue(t, *column[i], r.Value)
				values++
			}
			for _, column := range d.Points {
				if column[i] != nil {
					values--
				}
			}
			if values != 0 {
				t.Fatalf("batch %d has other values: %s", seq, payload)
			}
		}
	}
	if found != len(entries) {
		t.Fatalf("%d batches of %d", found, len(entries))
	}
}

// randomEntries makes batches of a few devices with changing points.
func randomEntries(r *rand.Rand, n int) []bridge.Entry {
	var all []bridge.Entry
	now := noon
	for i := range n {
		e := entry(uint64(i+1), fmt.Sprint("device-", r.IntN(4)))
		now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		e.At = now
		offset := 0
		if r.IntN(3) == 0 {
			offset = r.IntN(12)
		}
		for p := range 1 + r.IntN(12) {
			values := []bridge.Value{bridge.Uint(r.Uint64() >> (r.Uint64() % 64)), bridge.Float64(float64(r.IntN(1000)) / 10),
				bridge.Bool(true),
				bridge.Bad(bridge.ReasonTimeout), bridge.String("a\"b"), bridge.Int(-7)}
			e.Readings = append(e.Readings, reading(fmt.Sprint("p", offset+p), values[r.IntN(len(values))]))
		}
		r.Shuffle(len(e.Readings), func(i, j int) { e.Readings[i], e.Readings[j] = e.Readings[j], e.Readings[i] })
		all = append(all, e)
	}
	return all
}

// TestColumnsKeepEverything packs random batches until none is left: every
// message is as full as can be and says what was packed.
func TestColumnsKeepEverything(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		limit := 1024 + r.IntN(8000)
		f := formatOf(t, Settings{Topic: "plant/{gateway}", MaxMessage: 5000, Format: Columns}, testLabels).(*columns)
		f.limit = limit
		entries := randomEntries(r, 400)
		for len(entries) > 0 {
			m, n, err := f.Pack(entries)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if size := len(m.Topic) + len(m.Payload) + len(m.ContentType); size > limit && n > 1 {
				t.Fatalf("seed %d: %d bytes, limit %d", seed, size, limit)
			}
			checkColumns(t, m.Payload, entries[:n])
			if n < len(entries) {
				// One more would not have fitted.
				f.limit = math.MaxInt32
				more, _, err := f.Pack(entries[:n+1])
				f.limit = limit
				if size := len(more.Topic) + len(more.Payload) + len(more.ContentType); err != nil || size <= limit {
					t.Fatalf("seed %d: message of %d batches, but %d take %d of %d bytes", seed, n, n+1, size, limit)
				}
			}
			entries = entries[n:]
		}
	}
}

func TestFitOfColumnsSplits(t *testing.T) {
	f := formatOf(t, Settings{Topic: "plant/{gateway}", MaxMessage: 5000, Format: Columns}, nil)
	b := bridge.Batch{Device: "d", At: noon}
	for i := range 1000 {
		v := bridge.Uint(uint64(i * 60))
		if i%50 == 0 {
			v = bridge.Bad(bridge.Exception(127))
		}
		b.Readings = append(b.Readings, reading("register_"+strconv.Itoa(i), v))
	}
	for parts := 0; len(b.Readings) > 0; parts++ {
		n, _ := f.Fit(&b)
		e := bridge.Entry{Run: "3k7q9x2m", Seq: math.MaxUint64 / 2, Batch: b}
		e.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
		m, _, err := f.Pack([]bridge.Entry{e})
		if size := len(m.Topic) + len(m.ContentType) + len(m.Payload); err != nil || size > 5000 || size < 4500 &&
			len(b.Readings) > 0 {
			t.Fatalf("part %d: %d readings take %d bytes (%v)", parts, n, size, err)
		}
	}
}

func TestFlatGolden(t *testing.T) {
	e := entry(1042, "boiler", reading("supply_temp", bridge.Float64(71.5)),
		reading("energy", bridge.Bad(bridge.ReasonTimeout)), reading("running", bridge.Bool(true)))
	backlog := entry(7, "a", reading("t", bridge.Int(1)))
	backlog.Backlog, backlog.Unsynced = true, true
	for name, tt := range map[string]struct {
		e      bridge.Entry
		labels map[string]string
	}{"design": {e, nil}, "backlog": {backlog, testLabels}, "no-reading": {entry(1, "a"), nil}} {
		f := formatOf(t, Settings{Topic: "plant/{device}", MaxMessage: 5000, Format: Flat}, tt.labels)
		m, n, err := f.Pack([]bridge.Entry{tt.e, tt.e})
		if err != nil || n != 1 || m.Topic != "plant/"+tt.e.Device {
			t.Fatalf("Pack = %d, %v, topic %s", n, err, m.Topic)
		}
		golden(t, "flat-"+name+".json", m.Payload)
		if !json.Valid(m.Payload) {
			t.Errorf("%s is not JSON", m.Payload)
		}
	}
}

func TestFlatOwnKeys(t *testing.T) {
	f := formatOf(t, Settings{Topic: "t", MaxMessage: 5000, Format: Flat}, nil)
	for _, name := range FlatReserved {
		e := entry(1, "a", reading(name, bridge.Int(7)), reading("p", bridge.Int(8)),
			reading("q", bridge.Bad(bridge.ReasonTimeout)))
		m, n, err := f.Pack([]bridge.Entry{e})
		var got map[string]any
		if n != 1 || err != nil || json.Unmarshal(m.Payload, &got) != nil {
			t.Fatalf("%s: %d, %v: %s", name, n, err, m.Payload)
		}
		if got["_"+name] != 7.0 || got["p"] != 8.0 || e.Readings[0].Point != name ||
			strings.Count(string(m.Payload), `"`+name+`":`) > 1 {
			t.Errorf("%s: %s", name, m.Payload)
		}
		bad := entry(1, "a", reading(name, bridge.Bad(bridge.ReasonTimeout)))
		if m, _, err := f.Pack([]bridge.Entry{bad}); err != nil ||
			!strings.Contains(string(m.Payload), `"bad":{"_`+name+`":"timeout"}`) {
			t.Errorf("%s: %v: %s", name, err, m.Payload)
		}
	}
}

func TestFlatSplitsAndRefuses(t *testing.T) {
	f := formatOf(t, Settings{Topic: "plant/{gateway}", MaxMessage: 2000, Format: Flat}, testLabels)
	b := bridge.Batch{Device: "d", At: noon, Readings: many("register", 300)}
	for len(b.Readings) > 0 {
		n, _ := f.Fit(&b)
		e := bridge.Entry{Run: "3k7q9x2m", Seq: math.MaxUint64, Batch: b}
		e.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
		m, _, err := f.Pack([]bridge.Entry{e})
		if size := len(m.Topic) + len(m.ContentType) + len(m.Payload); err != nil || size > 2000 {
			t.Fatalf("%d readings take %d bytes (%v)", n, size, err)
		}
	}
	long := bridge.String(string(make([]byte, MaxBytes)))
	for _, format := range []Format{Rows, Columns, Flat} {
		f := formatOf(t, Settings{Topic: "t", MaxMessage: 5000, Format: format}, nil)
		if _, n, err := f.Pack([]bridge.Entry{entry(1, "a", reading("p", long))}); n != 1 || !bridge.IsPermanent(err) {
			t.Errorf("%s: a value of 128 KiB: %d, %v", format, n, err)
		}
	}
}

func TestLabelsAndBasicIngest(t *testing.T) {
	for _, format := range []Format{Rows, Columns, Flat} {
		f := formatOf(t, Settings{Topic: "{label.site}/{gateway}/{device}", BasicIngest: "readings", MaxMessage: 5000,
			Format: format}, testLabels)
		m, _, err := f.Pack([]bridge.Entry{entry(1, "d", reading("t", bridge.Int(1)))})
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Labels map[string]string }
		if err := json.Unmarshal(m.Payload, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(testLabels, got.Labels); diff != "" || m.Topic != "$aws/rules/readings/brno/press-line-2/d" {
			t.Errorf("%s: topic %s, labels (-want +got):\n%s", format, m.Topic, diff)
		}
		if topic := f.Topic(&bridge.Batch{Device: "d"}); topic != m.Topic {
			t.Errorf("Topic %q, Pack %q", topic, m.Topic)
		}
	}
}

func FuzzColumns(f *testing.F) {
	f.Add(uint64(1), uint16(5000), uint8(30))
	f.Add(uint64(99), uint16(1024), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, limit uint16, count uint8) {
		c := formatOf(t, Settings{Topic: "t", MaxMessage: 5000, Format: Columns}, nil).(*columns)
		c.limit = max(LeastMessage, int(limit))
		entries := randomEntries(rand.New(rand.NewPCG(seed, 3)), int(count)+1)
		m, n, err := c.Pack(entries)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(m.Topic) + len(m.Payload) + len(m.ContentType); size > c.limit && n > 1 {
			t.Fatalf("%d bytes, limit %d", size, c.limit)
		}
		checkColumns(t, m.Payload, entries[:n])
	})
}

// BenchmarkFormats packs an hour of devices as a backlog and reports what it
// costs: time, bytes and 5 KB units. One device is what a topic with {device}
// makes of ten.
func BenchmarkFormats(b *testing.B) {
	for _, shape := range []struct {
		devices, points, limit int
	}{{10, 20, 5000}, {10, 20, 20000}, {10, 20, 40000}, {1, 20, 5000}, {10, 1000, 5000}, {1, 1000, 100000}} {
		for _, format := range []Format{Rows, Columns, Flat, Protobuf + " rows", Protobuf + " columns"} {
			b.Run(fmt.Sprintf("%s/%dx%d/%d", format, shape.devices, shape.points, shape.limit), func(b *testing.B) {
				f := benchFormat(b, format)
				switch f := f.(type) {
				case *protobuf:
					f.limit = shape.limit
					f.numbers = numbered(emissions(shape.devices, shape.points, time.Second))
				case *rows:
					f.limit = shape.limit
				case *columns:
					f.limit = shape.limit
				case *flat:
					f.limit = shape.limit
				}
				entries := emitted(f, shape.devices, shape.points, max(3, 60_000/shape.devices/shape.points))
				var readings, bytes, units int
				b.ReportAllocs()
				for b.Loop() {
					for rest := entries; len(rest) > 0; {
						m, n, err := f.Pack(rest)
						if err != nil {
							b.Fatal(err)
						}
						for _, e := range rest[:n] {
							readings += len(e.Readings)
						}
						size := len(m.Topic) + len(m.ContentType) + len(m.Payload)
						bytes += size
						units += (size + 5119) / 5120
						rest = rest[n:]
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(readings), "ns/reading")
				b.ReportMetric(float64(bytes)/float64(readings), "B/reading")
				b.ReportMetric(float64(units)/float64(readings)*1e6, "units/Mreading")
			})
		}
	}
}

// benchFormat returns a format; of protobuf the layout stands after a blank.
func benchFormat(b *testing.B, format Format) bridge.Format {
	name, layout, _ := strings.Cut(string(format), " ")
	return formatOf(b, Settings{Topic: "plant/{gateway}", MaxMessage: 5000, Format: Format(name), Layout: Layout(layout)},
		nil)
}

// emitted returns what devices with 16-bit registers emit in some cycles of a
// second, split as the collector splits it.
func emitted(f bridge.Format, devices, points, cycles int) []bridge.Entry {
	var all []bridge.Entry
	r := rand.New(rand.NewPCG(1, 1))
	for c := range cycles {
		for d := range devices {
			b := bridge.Batch{Device: fmt.Sprint("device-", d), At: noon.Add(time.Duration(c) * time.Second)}
			for p := range points {
				b.Readings = append(b.Readings, reading(fmt.Sprint("register_", p), bridge.Uint(uint64(r.IntN(65536)))))
			}
			for len(b.Readings) > 0 {
				n, _ := f.Fit(&b)
				part := b
				part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
				all = append(all, bridge.Entry{Run: "3k7q9x2m", Seq: uint64(len(all) + 1), Batch: part})
			}
		}
	}
	return all
}
