package payload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload/proto"
	"fieldbridge/setting"
)

// protobufOf returns a format whose points have the numbers that emissions give them.
func protobufOf(t testing.TB, s Settings, labels map[string]string, emissions []Emission) *protobuf {
	t.Helper()
	s.Format = Protobuf
	f, err := New(&s, "press-line-2", labels, numbered(emissions))
	if err != nil {
		t.Fatal(err)
	}
	return f.(*protobuf)
}

// emitting returns what gives numbers to the points of entries.
func emitting(entries ...bridge.Entry) (all []Emission) {
	for _, e := range entries {
		all = append(all, Emission{Device: e.Device, Readings: e.Readings})
	}
	return all
}

// checkProtobuf reads a message back and compares it with what was packed.
func checkProtobuf(t testing.TB, m bridge.Message, f *protobuf, entries []bridge.Entry) *proto.Message {
	t.Helper()
	got, err := proto.Read(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	batches, err := got.Batches(f.book().Sheet)
	if err != nil || len(batches) != len(entries) || m.ContentType != ProtobufType {
		t.Fatalf("%d of %d batches as %s, %v", len(batches), len(entries), m.ContentType, err)
	}
	count := make(map[string]int)
	for _, b := range batches {
		for _, r := range b.Readings {
			count[fmt.Sprint(b.Device, b.Seq, b.At, r.Point, r.Bad, text(r.Value))]++
		}
	}
	for _, e := range entries {
		for _, r := range e.Readings {
			bad, v := "", r.Value
			if !r.Value.Good() {
				bad, v = r.Value.Reason().String(), bridge.Value{}
			}
			key := fmt.Sprint(e.Device, e.Seq, e.At.UnixMilli(), r.Point, bad, text(v))
			if count[key]--; count[key] < 0 {
				t.Fatalf("%s is not there", key)
			}
		}
	}
	return got
}

// text returns a value as JSON has it: the format may tell a number in another type.
func text(v bridge.Value) string {
	if !v.Good() {
		return ""
	}
	return string(AppendValue(nil, v))
}

var layouts = []Settings{{}, {Layout: LayoutRows}, {Layout: LayoutColumns}, {Names: true},
	{Names: true, Layout: LayoutColumns}}

// Random batches are packed until none is left, as those of columns are.
func TestProtobufKeepsEverything(t *testing.T) {
	for seed := range uint64(8) {
		for _, s := range layouts {
			r := rand.New(rand.NewPCG(seed, 7))
			s.Topic, s.MaxMessage = "plant/{gateway}", setting.Size(1024+r.IntN(8000))
			entries := randomEntries(r, 300)
			f := protobufOf(t, s, testLabels, emitting(entries[:r.IntN(20)]...))
			for len(entries) > 0 {
				m, n, err := f.Pack(entries)
				if size := len(m.Topic) + len(m.Payload) + len(m.ContentType); err != nil || size > f.limit && n > 1 {
					t.Fatalf("seed %d: %d bytes, limit %d, %v", seed, size, f.limit, err)
				}
				got := checkProtobuf(t, m, f, entries[:n])
				if got.Labels["site"] != "brno" || got.Gateway != "press-line-2" || got.Run != "3k7q9x2m" {
					t.Fatalf("%+v", got)
				}
				entries = entries[n:]
			}
		}
	}
}

// A message ends where another run, lane, clock state, origin or topic begins, and where
// its times and numbers would not do.
func TestProtobufEndOfMessage(t *testing.T) {
	other := &bridge.Origin{Gateway: "press-line-1"}
	for name, tt := range map[string]struct {
		topic  string
		change func(e *bridge.Entry)
		want   int
	}{
		"same":                    {"t", func(*bridge.Entry) {}, 2},
		"another run":             {"t", func(e *bridge.Entry) { e.Run = "other" }, 1},
		"another lane":            {"t", func(e *bridge.Entry) { e.Backlog = true }, 1},
		"another clock state":     {"t", func(e *bridge.Entry) { e.Unsynced = true }, 1},
		"another origin":          {"t", func(e *bridge.Entry) { e.Origin = other }, 1},
		"another device":          {"t", func(e *bridge.Entry) { e.Device = "b" }, 2},
		"another device's topic":  {"t/{device}", func(e *bridge.Entry) { e.Device = "b" }, 1},
		"the same device's topic": {"t/{device}", func(*bridge.Entry) {}, 2},
		"24 days later":           {"t", func(e *bridge.Entry) { *e = at(*e, math.MaxInt32) }, 2},
		"another point's topic": {"t/{point}", func(e *bridge.Entry) {
			e.Readings = []bridge.Reading{reading("q", bridge.Int(1))}
		}, 1},
		"25 days later":     {"t", func(e *bridge.Entry) { *e = at(*e, math.MaxInt32+1) }, 1},
		"a month before":    {"t", func(e *bridge.Entry) { *e = at(*e, -math.MaxInt32-2) }, 1},
		"a smaller number":  {"t", func(e *bridge.Entry) { e.Seq = 1 }, 1},
		"a number far away": {"t", func(e *bridge.Entry) { e.Seq = 1 << 40 }, 1},
	} {
		for _, s := range layouts {
			s.Topic, s.MaxMessage = tt.topic, 5000
			entries := []bridge.Entry{entry(5, "a", reading("p", bridge.Int(1))), entry(6, "a", reading("p", bridge.Int(1)))}
			tt.change(&entries[1])
			f := protobufOf(t, s, nil, emitting(entries...))
			m, n, err := f.Pack(entries)
			if err != nil || n != tt.want {
				t.Errorf("%s: Pack took %d (%v), want %d", name, n, err, tt.want)
				continue
			}
			checkProtobuf(t, m, f, entries[:n])
		}
	}
}

// What another gateway measured has its name and labels, and not our numbers; what we did
// under other labels has those.
func TestProtobufOrigin(t *testing.T) {
	e := entry(5, "a", reading("p", bridge.Int(1)))
	for gateway, numbers := range map[string]bool{"press-line-1": false, "press-line-2": true} {
		e.Origin = &bridge.Origin{Gateway: gateway, Labels: map[string]string{"site": "plzen"}}
		f := protobufOf(t, Settings{Topic: "t", MaxMessage: 5000}, testLabels, emitting(e))
		m, _, err := f.Pack([]bridge.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		got := checkProtobuf(t, m, f, []bridge.Entry{e})
		if got.Gateway != gateway || len(got.Labels) != 1 || got.Labels["site"] != "plzen" || (got.Book != 0) != numbers ||
			(len(got.Used()) > 0) != numbers {
			t.Errorf("%s: %+v", gateway, got)
		}
	}
}

// A batch that is larger than a message goes in parts that fill messages, with
// numbers and before.
func TestProtobufSplits(t *testing.T) {
	for _, s := range layouts {
		for _, knows := range []bool{true, false} {
			s.Topic, s.MaxMessage = "plant/{gateway}", 5000
			b := bridge.Batch{Device: "d", At: noon}
			for i := range 1000 {
				b.Readings = append(b.Readings, reading("register_"+strconv.Itoa(i), bridge.Uint(uint64(i*60))))
			}
			e := bridge.Entry{Run: "3k7q9x2m", Seq: 1 << 40, Batch: b}
			var given []Emission
			if knows {
				given = emitting(e)
			}
			f := protobufOf(t, s, nil, given)
			var parts []bridge.Entry
			for len(b.Readings) > 0 {
				n, _ := f.Fit(&b)
				part := e
				part.Readings, b.Readings = b.Readings[:n], b.Readings[n:]
				part.Seq += uint64(len(parts))
				parts = append(parts, part)
			}
			messages := 0
			for rest := parts; len(rest) > 0; messages++ {
				m, n, err := f.Pack(rest)
				if size := len(m.Topic) + len(m.ContentType) + len(m.Payload); err != nil || size > 5000 {
					t.Fatalf("%d readings take %d bytes (%v)", len(rest[0].Readings), size, err)
				}
				checkProtobuf(t, m, f, rest[:n])
				rest = rest[n:]
			}
			if knows && !s.Names && messages > 1 {
				t.Errorf("%+v: %d messages of %d parts", s, messages, len(parts))
			}
		}
	}
	long := bridge.String(string(make([]byte, MaxBytes)))
	f := protobufOf(t, Settings{Topic: "t", MaxMessage: 5000}, nil, nil)
	if _, n, err := f.Pack([]bridge.Entry{entry(1, "a", reading("p", long))}); n != 1 || !bridge.IsPermanent(err) {
		t.Errorf("a value of 128 KiB: %d, %v", n, err)
	}
}

// As JSON a message stays below what decode() gives, however large it may be: doubles
// take three times their bytes there.
func TestProtobufAsJSON(t *testing.T) {
	var entries []bridge.Entry
	for i := range 200 {
		e := entry(uint64(i+1), "d")
		for p := range 200 {
			e.Readings = append(e.Readings, reading(fmt.Sprint("p_", p), bridge.Float64(-1.2345678901234567e-101*float64(i+1))))
		}
		entries = append(entries, e)
	}
	for _, s := range layouts {
		s.Topic, s.MaxMessage = "t", MaxBytes
		f := protobufOf(t, s, nil, emitting(entries[0]))
		m, n, err := f.Pack(entries)
		if err != nil || n < 10 {
			t.Fatalf("%d, %v", n, err)
		}
		checkProtobuf(t, m, f, entries[:n])
		if asJSON := n * 200 * len("-1.2345678901234567e-101,"); asJSON > 128<<10 || asJSON < 90<<10 {
			t.Errorf("%+v: %d batches, about %d bytes as JSON", s, n, asJSON)
		}
	}
}

// With {point} in the topic each reading is a batch of its own, with numbers and names.
func TestProtobufOnePointEach(t *testing.T) {
	for _, s := range layouts {
		s.Topic, s.MaxMessage = "{device}/{point}", 5000
		e := entry(5, "d", many("p", 10)...)
		f := protobufOf(t, s, nil, emitting(e))
		for len(e.Readings) > 0 {
			n, size := f.Fit(&e.Batch)
			one := e
			one.Readings, e.Readings = e.Readings[:1], e.Readings[1:]
			m, packed, err := f.Pack([]bridge.Entry{one})
			if n != 1 || size <= 0 || packed != 1 || err != nil || m.Topic != "d/"+one.Readings[0].Point {
				t.Fatalf("%d readings of %d bytes, %d packed to %s, %v", n, size, packed, m.Topic, err)
			}
			checkProtobuf(t, m, f, []bridge.Entry{one})
		}
	}
}

func TestProtobufSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Settings)
		path   string
	}{
		"protobuf":          {func(s *Settings) { s.Format = Protobuf }, ""},
		"columns and names": {func(s *Settings) { s.Format, s.Layout, s.Names = Protobuf, LayoutColumns, true }, ""},
		"unknown layout":    {func(s *Settings) { s.Format, s.Layout = Protobuf, "flat" }, "layout"},
		"layout of JSON":    {func(s *Settings) { s.Layout = LayoutColumns }, "layout"},
		"names of JSON":     {func(s *Settings) { s.Names = true }, "names"},
		"unknown format":    {func(s *Settings) { s.Format = "avro" }, "format"},
	} {
		s := validSettings()
		tt.change(&s)
		var paths []string
		for _, p := range s.Validate("g", nil) {
			paths = append(paths, strings.Join(p.Path, "."))
		}
		if strings.Join(paths, " ") != tt.path {
			t.Errorf("%s: problems at %q, want %q", name, paths, tt.path)
		}
	}
}
