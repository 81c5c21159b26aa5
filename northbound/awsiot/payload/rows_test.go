package payload

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

func testFormat(t testing.TB, topic string, limit int) *rows {
	t.Helper()
	return formatOf(t, Settings{Topic: topic, MaxMessage: setting.Size(limit), Format: Rows}, nil).(*rows)
}

func formatOf(t testing.TB, cfg Settings, labels map[string]string) bridge.Format {
	t.Helper()
	f, err := New(&cfg, "press-line-2", labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func validSettings() Settings {
	var s Settings
	s.SetDefaults()
	s.Topic = "plant/{gateway}"
	return s
}

var noon = time.UnixMilli(1763887500123)

func entry(seq uint64, device string, readings ...bridge.Reading) bridge.Entry {
	return bridge.Entry{Run: "3k7q9x2m", Seq: seq, Batch: bridge.Batch{Device: device, At: noon, Readings: readings}}
}

func TestRowsGolden(t *testing.T) {
	all := []bridge.Reading{
		{Point: "supply_temp", Value: bridge.Float64(71.5)},
		{Point: "energy", Value: bridge.Bad(bridge.Exception(2))},
		{Point: "running", Value: bridge.Bool(true)},
		{Point: "count", Value: bridge.Uint(math.MaxUint64)},
		{Point: "low", Value: bridge.Int(math.MinInt64)},
		{Point: "f32", Value: bridge.Float32(21.3)},
		{Point: "tiny", Value: bridge.Float64(1.5e-9)},
		{Point: "text", Value: bridge.String("a\"b\\c\n\x01é\u2028")},
		{Point: "level", Value: bridge.Bad(bridge.ReasonTimeout)},
	}
	backlog := entry(7, "boiler", bridge.Reading{Point: "t", Value: bridge.Int(-3)})
	backlog.Backlog, backlog.Unsynced = true, true
	tests := map[string][]bridge.Entry{
		"all-kinds":  {entry(1042, "boiler", all...)},
		"two":        {entry(1, "a", all[0]), entry(2, "b.c", all[2])},
		"backlog":    {backlog},
		"bad-only":   {entry(3, "boiler", all[1], all[8])},
		"no-reading": {entry(4, "boiler")},
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			m, n, err := testFormat(t, "plant/{gateway}", 5000).Pack(entries)
			if err != nil || n != len(entries) {
				t.Fatalf("Pack = %d, %v, want all %d", n, err, len(entries))
			}
			if m.Topic != "plant/press-line-2" || m.ContentType != "application/json" {
				t.Errorf("topic %q, content type %q", m.Topic, m.ContentType)
			}
			golden(t, "rows-"+name+".json", m.Payload)
		})
	}
}

// golden compares got with a file of testdata; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestRowsEndOfMessage(t *testing.T) {
	base := func() []bridge.Entry {
		return []bridge.Entry{
			entry(1, "a", bridge.Reading{Point: "p", Value: bridge.Int(1)}),
			entry(2, "a", bridge.Reading{Point: "p", Value: bridge.Int(1)}),
		}
	}
	tests := map[string]struct {
		topic  string
		change func(e *bridge.Entry)
		want   int
	}{
		"same":                    {"t", func(*bridge.Entry) {}, 2},
		"another run":             {"t", func(e *bridge.Entry) { e.Run = "other" }, 1},
		"another lane":            {"t", func(e *bridge.Entry) { e.Backlog = true }, 1},
		"another clock state":     {"t", func(e *bridge.Entry) { e.Unsynced = true }, 1},
		"another device":          {"t", func(e *bridge.Entry) { e.Device = "b" }, 2},
		"another device's topic":  {"t/{device}", func(e *bridge.Entry) { e.Device = "b" }, 1},
		"the same device's topic": {"t/{device}", func(*bridge.Entry) {}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entries := base()
			tt.change(&entries[1])
			_, n, err := testFormat(t, tt.topic, 5000).Pack(entries)
			if err != nil || n != tt.want {
				t.Errorf("Pack took %d (%v), want %d", n, err, tt.want)
			}
		})
	}
}

func TestRowsFillsMessages(t *testing.T) {
	f := testFormat(t, "plant/{gateway}", 5000)
	var entries []bridge.Entry
	for i := range 500 {
		entries = append(entries, entry(uint64(i), "boiler", bridge.Reading{Point: "temperature",
			Value: bridge.Float64(21.5)}))
	}
	m, n, err := f.Pack(entries)
	if err != nil {
		t.Fatal(err)
	}
	size := len(m.Topic) + len(m.ContentType) + len(m.Payload)
	each := len(m.Payload) / n
	if size > 5000 || size < 5000-2*each {
		t.Errorf("message of %d bytes for %d batches of %d, want as many as fit in 5000", size, n, each)
	}
}

func TestRowsRefusesWhatAWSWould(t *testing.T) {
	f := testFormat(t, "t", 5000)
	long := strings.Repeat("x", 100<<10)
	if m, n, err := f.Pack([]bridge.Entry{entry(1, "a", bridge.Reading{Point: "p",
		Value: bridge.String(long)})}); err != nil || n != 1 || len(m.Payload) < len(long) {
		t.Errorf("one long value: %d bytes, n %d, err %v, want it whole", len(m.Payload), n, err)
	}
	_, n, err := f.Pack([]bridge.Entry{entry(1, "a", bridge.Reading{Point: "p", Value: bridge.String(long + long)})})
	if n != 1 || !bridge.IsPermanent(err) {
		t.Errorf("a value of 200 KiB: n %d, err %v, want a permanent refusal of one", n, err)
	}
}

func TestFitSplitsWhatPacks(t *testing.T) {
	for _, topic := range []string{"plant/{gateway}", "plant/{gateway}/{device}"} {
		f := testFormat(t, topic, 5000)
		b := bridge.Batch{Device: "d", At: noon}
		for i := range 1000 {
			b.Readings = append(b.Readings, bridge.Reading{Point: "register_" + strconv.Itoa(i),
				Value: bridge.Uint(uint64(rand.IntN(65536)))})
		}
		parts := 0
		for len(b.Readings) > 0 {
			n, size := f.Fit(&b)
			e := bridge.Entry{Run: "3k7q9x2m", Seq: math.MaxUint64, Batch: b}
			e.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
			m, _, err := f.Pack([]bridge.Entry{e})
			if got := len(m.Topic) + len(m.ContentType) + len(m.Payload); err != nil || got > 5000 {
				t.Fatalf("%d readings of size %d took %d bytes (%v)", n, size, got, err)
			}
			parts++
		}
		if parts > 6 {
			t.Errorf("%d parts of 1000 registers, want at most 6", parts)
		}
	}
}

// TestFitIsTight: messages are filled by what Fit says, so it may not say more than a
// batch takes, and little less.
func TestFitIsTight(t *testing.T) {
	f := testFormat(t, "t", 5000)
	for name, bad := range map[string]func(i int) bool{
		"all good": func(int) bool { return false },
		"all bad":  func(int) bool { return true },
		"mixed":    func(i int) bool { return i%3 == 0 },
	} {
		for _, points := range []int{1, 100} {
			e := entry(7, "boiler")
			for i := range points {
				v := []bridge.Value{bridge.Float64(float64(i) / 10), bridge.Float32(float32(i) / 10), bridge.Int(int64(-i * 1000)),
					bridge.Uint(uint64(i * 70000))}[i%4]
				if bad(i) {
					v = bridge.Bad(bridge.Exception(200))
				}
				e.Readings = append(e.Readings, bridge.Reading{Point: "point_" + strconv.Itoa(i), Value: v})
			}
			n, size := f.Fit(&e.Batch)
			b, _ := rowsAppend(nil, &e, 1<<20, true)
			// Two commas and a digit of the time are all that may be too much.
			if n != points || size < len(b) || size > len(b)+3 {
				t.Errorf("%s, %d points: Fit = %d, %d for %d bytes", name, points, n, size, len(b))
			}
		}
	}
}

func TestValueSizeBounds(t *testing.T) {
	check := func(v bridge.Value) {
		t.Helper()
		if got, bound := len(AppendValue(nil, v)), valueSize(v); got > bound {
			t.Errorf("%v takes %d bytes, bound %d", v, got, bound)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		x := r.Uint64()
		if v := bridge.Float64(math.Float64frombits(x)); v.Good() {
			check(v)
		}
		if v := bridge.Float32(math.Float32frombits(uint32(x))); v.Good() {
			check(v)
		}
		check(bridge.Int(int64(x >> (x & 63))))
		check(bridge.Int(-int64(x >> (x & 63))))
		check(bridge.Uint(x >> (x & 63)))
		short := float64(int32(x)) / math.Pow10(int(x>>32)%8)
		check(bridge.Float64(short))
		check(bridge.Float32(float32(short)))
		check(bridge.Float64(short * 1e15))
	}
	for e := -330; e < 310; e++ {
		f := math.Pow(10, float64(e)) * 1.2345678901234567
		check(bridge.Float64(-f))
		check(bridge.Float32(float32(min(f, math.MaxFloat32))))
	}
}

// FuzzRows: whatever the values, the payload is JSON with the same values and
// within the limit.
func FuzzRows(f *testing.F) {
	f.Add(uint64(1), "boiler", "text", 21.3, int64(-5), uint16(3), uint16(4000))
	f.Add(uint64(math.MaxUint64), "b", "\x00\xff\"\\\u2028é", math.MaxFloat64, int64(math.MinInt64), uint16(200),
		uint16(1100))
	f.Fuzz(func(t *testing.T, seq uint64, device, text string, number float64, integer int64, count, limit uint16) {
		if !bridge.ValidDevice(device) {
			return
		}
		format := testFormat(t, "plant/{device}", max(LeastMessage, int(limit)))
		b := bridge.Batch{Device: device, At: time.UnixMilli(integer >> 20)}
		values := []bridge.Value{bridge.Float64(number), bridge.Float32(float32(number)), bridge.Int(integer),
			bridge.Uint(uint64(integer)), bridge.String(text), bridge.Bool(seq&1 == 0), bridge.Bad(bridge.Reason(integer))}
		for i := range int(count%500) + 1 {
			b.Readings = append(b.Readings, bridge.Reading{Point: "p" + strconv.Itoa(i), Value: values[(i+int(seq%7))%7]})
		}
		n, _ := format.Fit(&b)
		b.Readings = b.Readings[:n]
		entries := []bridge.Entry{{Run: "r", Seq: seq, Batch: b}, {Run: "r", Seq: seq, Batch: b},
			{Run: "r", Seq: seq, Batch: b}}
		m, packed, err := format.Pack(entries)
		if err != nil {
			if len(text) < MaxBytes/8 {
				t.Fatal(err)
			}
			return
		}
		if size := len(m.Topic) + len(m.Payload) + len(m.ContentType); size > format.limit && (packed > 1 || n > 1) {
			t.Fatalf("%d bytes, limit %d", size, format.limit)
		}
		checkRows(t, m.Payload, entries[:packed])
	})
}

func checkRows(t *testing.T, payload []byte, entries []bridge.Entry) {
	t.Helper()
	var got struct {
		V            int
		Gateway, Run string
		Batches      []struct {
			Seq    uint64
			Device string
			At     int64
			Points map[string]json.RawMessage
			Bad    map[string]string
		}
	}
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	if got.V != 1 || got.Gateway != "press-line-2" || len(got.Batches) != len(entries) {
		t.Fatalf("envelope of %s", payload)
	}
	for i, e := range entries {
		b := got.Batches[i]
		if b.Seq != e.Seq || b.Device != e.Device || b.At != e.At.UnixMilli() || len(b.Points)+len(b.Bad) != len(e.Readings) {
			t.Fatalf("batch %d of %s", i, payload)
		}
		for _, r := range e.Readings {
			if !r.Value.Good() {
				if b.Bad[r.Point] != r.Value.Reason().String() {
					t.Fatalf("%s: bad %q, want %v", r.Point, b.Bad[r.Point], r.Value)
				}
				continue
			}
			checkValue(t, b.Points[r.Point], r.Value)
		}
	}
}

func checkValue(t *testing.T, raw json.RawMessage, want bridge.Value) {
	t.Helper()
	ok := false
	switch want.Kind() {
	case bridge.KindString:
		var s string
		ok = json.Unmarshal(raw, &s) == nil && (s == want.Str() || !utf8.ValidString(want.Str()) &&
			s == strings.ToValidUTF8(replaceInvalid(want.Str()), ""))
	case bridge.KindFloat64:
		f, err := strconv.ParseFloat(string(raw), 64)
		ok = err == nil && math.Float64bits(f) == want.Bits()
	case bridge.KindFloat32:
		f, err := strconv.ParseFloat(string(raw), 32)
		ok = err == nil && uint64(math.Float32bits(float32(f))) == want.Bits()
	default:
		ok = string(raw) == want.String()
	}
	if !ok {
		t.Fatalf("%s, want %v", raw, want)
	}
}

// replaceInvalid replaces each byte that is not UTF-8, as encoding/json does.
func replaceInvalid(s string) string { return string([]rune(s)) }

func BenchmarkRowsPack(b *testing.B) {
	registers := func(n int, value func(i int) bridge.Value) []bridge.Entry {
		var entries []bridge.Entry
		for len(entries) < 300 {
			e := entry(uint64(len(entries)), "device-1")
			for i := range n {
				e.Readings = append(e.Readings, bridge.Reading{Point: "register_" + strconv.Itoa(i), Value: value(i)})
			}
			entries = append(entries, e)
		}
		return entries
	}
	for name, entries := range map[string][]bridge.Entry{
		"uint16x20":  registers(20, func(i int) bridge.Value { return bridge.Uint(uint64(i * 3000 % 65536)) }),
		"uint16x250": registers(250, func(i int) bridge.Value { return bridge.Uint(uint64(i * 3000 % 65536)) }),
		"decimalx20": registers(20, func(i int) bridge.Value { return bridge.Float64(float64(i*371) / 10) }),
		"float32x20": registers(20, func(i int) bridge.Value { return bridge.Float32(float32(i) * 1.2345) }),
	} {
		b.Run(name, func(b *testing.B) {
			f := testFormat(b, "plant/{gateway}", 5000)
			b.ReportAllocs()
			readings := 0
			for b.Loop() {
				_, n, err := f.Pack(entries)
				if err != nil {
					b.Fatal(err)
				}
				readings += n * len(entries[0].Readings)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(readings), "ns/reading")
		})
	}
}

func BenchmarkRowsFit(b *testing.B) {
	f := testFormat(b, "plant/{gateway}", 5000)
	for name, value := range map[string]func(i int) bridge.Value{
		"uint16":  func(i int) bridge.Value { return bridge.Uint(uint64(i * 3000 % 65536)) },
		"decimal": func(i int) bridge.Value { return bridge.Float64(float64(i*371) / 10) },
		"float64": func(i int) bridge.Value { return bridge.Float64(math.Sqrt(float64(i))) },
	} {
		b.Run(name, func(b *testing.B) {
			e := entry(1, "device-1")
			for i := range 100 {
				e.Readings = append(e.Readings, bridge.Reading{Point: "register_" + strconv.Itoa(i), Value: value(i)})
			}
			b.ReportAllocs()
			for b.Loop() {
				if n, _ := f.Fit(&e.Batch); n != 100 {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/reading")
		})
	}
}

// TestAppendAlone: what is exported is a message that Pack would make.
func TestAppendAlone(t *testing.T) {
	e := entry(7, "boiler", bridge.Reading{Point: "t", Value: bridge.Int(-3)},
		bridge.Reading{Point: "e", Value: bridge.Bad(bridge.ReasonTimeout)})
	e.Unsynced = true
	m, _, err := formatOf(t, Settings{Topic: "t", MaxMessage: 5000, Format: Rows}, testLabels).Pack([]bridge.Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	e.Backlog = true // it waits, but that is not what it says of the batch
	own := &bridge.Origin{Gateway: "press-line-2", Labels: testLabels}
	if got := string(AppendAlone(nil, own, &e)); got != string(m.Payload) {
		t.Errorf("got  %s\nwant %s", got, m.Payload)
	}
}
