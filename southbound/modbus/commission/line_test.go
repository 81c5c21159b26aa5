package commission

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// A line scan finds the unit wherever it is, asks likely units at all settings
// first, nothing twice, and goes after what it hears.
func TestLineScan(t *testing.T) {
	garbage := Answer{Presence: Noise, Noise: "3 bytes that are not an answer: 00 f8 e0"}
	there := Answer{Presence: Reading}
	for name, tt := range map[string]struct {
		at    LineSettings
		unit  int
		noise func(l LineSettings, unit int) bool
		most  int // questions
	}{
		"as delivered":      {LineSettings{9600, 8, wire.NoParity, 1}, 1, nil, 1},
		"likely unit":       {LineSettings{1200, 8, wire.OddParity, 1}, 247, nil, 32 * 5},
		"unlikely unit":     {LineSettings{19200, 8, wire.EvenParity, 1}, 77, nil, 32*5 + 3*242},
		"wrong parity":      {LineSettings{2400, 8, wire.EvenParity, 1}, 1, sameBaud(2400), 32 * 5},
		"another baud rate": {LineSettings{115200, 8, wire.NoParity, 1}, 42, sameBaud(9600), 32*5 + 242 + 32},
		"not at all":        {LineSettings{300, 8, wire.NoParity, 1}, 1, nil, 32 * 247},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(map[LineSettings]map[int]int)
			n, steps := 0, 0
			s := LineScan{Settings: CommonLines(false), First: 1, Last: 247, Step: func(l LineStep) {
				if l.Done != steps || l.All != 32*247 {
					t.Fatalf("%d of %d, want %d of %d", l.Done, l.All, steps, 32*247)
				}
				steps++
			}, Ask: func(_ context.Context, l LineSettings, unit int) (Answer, error) {
				if asked[l] == nil {
					asked[l] = make(map[int]int)
				}
				if asked[l][unit]++; asked[l][unit] > 1 {
					t.Errorf("unit %d is asked twice at %v", unit, l)
				}
				n++
				if l == tt.at && unit == tt.unit {
					return there, nil
				}
				if tt.noise != nil && unit == tt.unit && tt.noise(l, unit) {
					return garbage, nil
				}
				return Answer{}, nil
			}}
			got, ok, heard, err := s.Run(t.Context())
			if err != nil || ok != (tt.at.Baud != 300) || ok && (got.LineSettings != tt.at || got.Unit != tt.unit) {
				t.Errorf("%v, %v, %v", got, ok, err)
			}
			if n > tt.most {
				t.Errorf("%d questions, want at most %d", n, tt.most)
			}
			if (heard != nil) != (tt.noise != nil) {
				t.Errorf("heard %v", heard)
			}
		})
	}
}

func sameBaud(baud int) func(LineSettings, int) bool {
	return func(l LineSettings, _ int) bool { return l.Baud == baud }
}

// A line scan ends when there is no line to ask.
func TestLineScanEnds(t *testing.T) {
	none := errors.New("no port")
	s := LineScan{Settings: CommonLines(false), First: 1, Last: 247,
		Ask: func(context.Context, LineSettings, int) (Answer, error) { return Answer{}, none }}
	if _, _, _, err := s.Run(t.Context()); !errors.Is(err, none) {
		t.Error(err)
	}
}

// A unit tells who it is by function 43 and its SunSpec list; what it sends is
// shown without what a terminal would obey.
func TestLookTellsWhoItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		u := sim.Unit(1)
		u.Identify("Acme", "VALVE-1", "2.0", "http://acme", "\x1b[2Jvalve")
		u.IdentifyMore(0x80, "SN12345678")
		u.IdentifyMore(0x97, "x")
		u.Only(modbustest.Holding, 40000, 130)
		u.Set(modbustest.Holding, 40000, 0x5375, 0x6e53, 1, 66)
		for at, text := range map[int]string{40004: "Fronius", 40020: "Symo 8.2", 40052: "4711"} {
			for i := range len(text) {
				word := u.Get(modbustest.Holding, at+i/2, 1)[0]
				u.Set(modbustest.Holding, at+i/2, word|uint16(text[i])<<(8*(1-i%2)))
			}
		}
		u.Set(modbustest.Holding, 40070, 103, 50)
		u.Set(modbustest.Holding, 40122, 0xffff, 0)
		m := testMaster(t, sim, 5*time.Second, Options{})
		got, err := m.Look(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		want := Identity{
			Objects: []wire.Object{{ID: 0, Text: "Acme"}, {ID: 1, Text: "VALVE-1"}, {ID: 2, Text: "2.0"},
				{ID: 3, Text: "http://acme"}, {ID: 4, Text: "?[2Jvalve"}, {ID: 0x80, Text: "SN12345678"}, {ID: 0x97, Text: "x"}},
			Maker: &Common{Maker: "Fronius", Model: "Symo 8.2", Serial: "4711"},
			Models: []plan.SunSpecModel{{ID: 1, Name: "common", Address: 40002, Length: 66},
				{ID: 103, Name: "three-phase inverter", Address: 40070, Length: 50}},
		}
		if diff := cmp.Diff(want, got.Identity); diff != "" {
			t.Error(diff)
		}
		const text = `unit 1: it answers with exception 2 (Acme, VALVE-1, 2.0)
    vendor url: http://acme
    product name: ?[2Jvalve
    object 0x80: SN12345678
    object 0x97: x
    SunSpec: Fronius Symo 8.2, serial number 4711
    SunSpec models 1, 103 (--sunspec tells where)`
		if diff := cmp.Diff(text, got.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// Lines of ASCII have seven bits first, and no settings are tried twice.
func TestCommonLines(t *testing.T) {
	for ascii, want := range map[bool]string{false: "9600 8N1", true: "9600 7E1"} {
		all, seen := CommonLines(ascii), make(map[LineSettings]bool)
		if got := all[0].String(); got != want {
			t.Errorf("ascii %v: %s is tried first, want %s", ascii, got, want)
		}
		for _, l := range all {
			if seen[l] || l.DataBits == 7 && !ascii {
				t.Errorf("ascii %v: %v", ascii, l)
			}
			seen[l] = true
		}
	}
}
