package setup

import (
	"fieldbridge/southbound/modbus/wire"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/permit"
)

func show(p setting.Problem) string {
	kind := ""
	if p.Warning {
		kind = "warning: "
	}
	return fmt.Sprintf("%s%s: %s: %s", kind, strings.Join(p.Path, "."), p.Text, p.Fix)
}

// point validates a configuration of one point.
func withPoint(p Point) Config {
	return Config{Buses: map[string]Bus{"plc": testBus("plc")},
		Devices: map[string]Device{"d": testDevice("plc", 1, map[string]Point{"x": p})}}
}

func (c Config) without(bus string) Config {
	delete(c.Buses, bus)
	return c
}

func withDevice(change func(*Device)) Config {
	c := withPoint(Point{Input: at(0)})
	d := c.Devices["d"]
	change(&d)
	c.Devices["d"] = d
	return c
}

func TestValidate(t *testing.T) {
	minute := setting.Duration(time.Minute)
	big := bridge.Decimal{Coef: 2}
	tests := []struct {
		name string
		c    Config
		want string // of the only problem; "" if none
	}{
		{"good", withPoint(Point{Input: at(0)}), ""},
		{"last register", withPoint(Point{Input: at(65535)}), ""},
		{"misspelt bus", withDevice(func(d *Device) { d.Bus = "pcl" }),
			`devices.d.bus: there is no bus "pcl": did you mean "plc"?`},
		{"no bus", withDevice(func(d *Device) { d.Bus = "" }), "devices.d: a device without bus: add bus: NAME"},
		{"bus and url", withDevice(func(d *Device) { d.URL = "tcp://x" }), "devices.d.url: bus and url together"},
		{"no url", withDevice(func(d *Device) { d.Bus, d.URL = "", "10.0.0.1" }).without("plc"),
			`devices.d.url: "10.0.0.1" is not a URL of a bus: write tcp://HOST[:PORT], tls`},
		{"unit id", withDevice(func(d *Device) { d.UnitID = 256 }), "devices.d.unit_id: unit id 256: use 0 to 255"},
		{"too often", withDevice(func(d *Device) { d.Every = 1 }), "devices.d.every: an interval of 1ns: use at least 10ms"},
		{"device order", withDevice(func(d *Device) { d.Order = "ABDC" }),
			`devices.d.order: "ABDC" is not an order: use ABCD, DCBA, BADC or CDAB`},
		{"max_words", withDevice(func(d *Device) { d.MaxWords = 126 }),
			"devices.d.max_words: 126 registers in one request: use 1 to 125"},
		{"max_bits", withDevice(func(d *Device) { d.MaxBits = 2001 }), "devices.d.max_bits: 2001 bits in one request"},
		{"no points", withDevice(func(d *Device) { d.Points = nil }), "devices.d: a device without points"},
		{"base 1 and address 0", withDevice(func(d *Device) { d.Base = 1 }),
			"devices.d.points.x.input: address 0 of a device whose addresses begin at 1"},
		{"base 2", withDevice(func(d *Device) { d.Base = 2; d.Points = map[string]Point{"x": {Input: at(5)}} }),
			"devices.d.base: addresses from 2"},
		{"no table", withPoint(Point{}),
			"devices.d.points.x: no address: give one of coil, discrete, input, holding (zero-based), ref"},
		{"two tables", withPoint(Point{Input: at(0), Coil: at(1)}),
			"devices.d.points.x.input: a second address, beside coil"},
		{"beyond the table", withPoint(Point{Input: at(65536)}),
			"devices.d.points.x.input: address 65536 to 65536 is beyond the table"},
		{"end beyond the table", withPoint(Point{Holding: at(65535), Type: "float32"}),
			"devices.d.points.x.holding: address 65535 to 65536 is beyond"},
		{"negative", withPoint(Point{Coil: at(-1)}), "devices.d.points.x.coil: address -1 to -1 is beyond"},
		{"type", withPoint(Point{Input: at(0), Type: "unit16"}),
			`devices.d.points.x.type: "unit16" is not a type: did you mean "uint16"?`},
		{"type of IEC 61131-3", withPoint(Point{Input: at(0), Type: "REAL"}),
			`devices.d.points.x.type: "REAL" is not a type: write float32`},
		{"float of no width", withPoint(Point{Input: at(0), Type: "float"}),
			`devices.d.points.x.type: "float" is not a type: write float32`},
		{"type of a manual", withPoint(Point{Input: at(0), Type: "DWORD"}),
			`devices.d.points.x.type: "DWORD" is not a type: write uint32`},
		{"order in words", withPoint(Point{Input: at(0), Type: "float32", Order: "Big-Endian"}),
			`devices.d.points.x.order: "Big-Endian" is not an order: write ABCD`},
		{"swapped words", withPoint(Point{Input: at(0), Type: "float32", Order: "word_swap"}),
			`devices.d.points.x.order: "word_swap" is not an order: write CDAB`},
		{"order of one of two", withPoint(Point{Input: at(0), Type: "float32", Order: "little"}),
			`devices.d.points.x.order: "little" is not an order: write DCBA; if the bytes of each register are in order`},
		{"type of a coil", withPoint(Point{Coil: at(0), Type: "float32"}),
			"devices.d.points.x.type: a coil is a single bit: it cannot be float32"},
		{"bit of a coil", withPoint(Point{Coil: at(0), Bit: at(1)}),
			"devices.d.points.x.bit: a coil is a single bit: it has no bit: remove bit"},
		{"bit 16", withPoint(Point{Holding: at(0), Bit: at(16)}), "devices.d.points.x.bit: bit 16 of a register of 16"},
		{"bit of a float", withPoint(Point{Holding: at(0), Bit: at(1), Type: "float32"}),
			"devices.d.points.x.type: one bit cannot be float32"},
		{"bits", withPoint(Point{Holding: at(0), Bits: "4-16"}), `devices.d.points.x.bits: "4-16" are not bits`},
		{"order", withPoint(Point{Holding: at(0), Type: "uint32", Order: "AB"}),
			"devices.d.points.x.order: order AB does not suit uint32"},
		{"no order", withPoint(Point{Holding: at(0), Order: "BAD"}), `devices.d.points.x.order: "BAD" is not an order`},
		{"byte of a uint16", withPoint(Point{Holding: at(0), Byte: "high"}),
			"devices.d.points.x.byte: a byte of type uint16"},
		{"byte in the middle", withPoint(Point{Holding: at(0), Type: "int8", Byte: "mid"}),
			`devices.d.points.x.byte: "mid" is not a half`},
		{"string without length", withPoint(Point{Holding: at(0), Type: "string"}),
			"devices.d.points.x.length: a string without its length"},
		{"length of a number", withPoint(Point{Holding: at(0), Length: 4}),
			"devices.d.points.x.length: a length for type uint16"},
		{"scale of a bool", withPoint(Point{Coil: at(0), Scale: &big}),
			"devices.d.points.x.scale: scale for a bool: only numbers"},
		{"scale and range", withPoint(
			Point{Input: at(0), Scale: &big, Range: &Range{[]bridge.Decimal{{}, {Coef: 1}}, []bridge.Decimal{{}, {Coef: 1}}}}),
			"devices.d.points.x.range: range beside another scaling"},
		{"flat range", withPoint(Point{Input: at(0), Range: &Range{make([]bridge.Decimal, 2), make([]bridge.Decimal, 2)}}),
			"devices.d.points.x.range.raw: both raw numbers are the same"},
		{"sentinel too big", withPoint(Point{Input: at(0), Invalid: []Raw{{bits: 0x10000}}}),
			"devices.d.points.x.invalid.0: 0x10000 does not fit in uint16"},
		{"sentinels the wrong way round", withPoint(Point{Input: at(0), Invalid: []Raw{{bits: 9, to: &Raw{bits: 3}}}}),
			"devices.d.points.x.invalid.0: 0x9-0x3 does not fit in uint16"},
		{"sentinel with decimals", withPoint(Point{Input: at(0), Invalid: []Raw{{plain: "1.5", float: true}}}),
			"devices.d.points.x.invalid.0: 1.5 does not fit in uint16"},
		{"transaction ids on a line", func() Config {
			c := withDevice(func(*Device) {})
			b := c.Buses["plc"]
			b.URL, b.IgnoreTransactionIDs = "rtu+tcp://10.0.0.5:4001", true
			c.Buses["plc"] = b
			return c
		}(), "buses.plc.ignore_transaction_ids: transaction ids on rtu+tcp://: they are of tcp:// and tls://: remove it"},
		{"order with a register twice", withPoint(Point{Input: at(0), Type: "uint64", Order: "ABABEFGH"}),
			`devices.d.points.x.order: "ABABEFGH" is not an order`},
		{"order with bytes of two registers", withPoint(Point{Input: at(0), Type: "uint64", Order: "ACBDEFGH"}),
			`devices.d.points.x.order: "ACBDEFGH" is not an order`},
		{"order with bytes both ways", withPoint(Point{Input: at(0), Type: "uint64", Order: "BACDEFGH"}),
			`devices.d.points.x.order: "BACDEFGH" is not an order`},
		{"UTF-16 of an odd length", withPoint(Point{Input: at(0), Type: "utf16", Length: 3}),
			"devices.d.points.x.type: utf16 of half registers"},
		{"true_is of a number", withPoint(Point{Holding: at(0), TrueIs: word(1)}),
			"devices.d.points.x.true_is: true_is of a uint16"},
		{"true_is of a coil that is read", withPoint(Point{Coil: at(0), TrueIs: word(1)}),
			"devices.d.points.x.true_is: true_is of a coil that is not writable"},
		{"true_is of an input", withPoint(Point{Discrete: at(0), TrueIs: word(1)}),
			"devices.d.points.x.true_is: true_is of a discrete that function 5 does not write"},
		{"true and false the same", withPoint(Point{Holding: at(0), Type: "bool", TrueIs: word(0)}),
			"devices.d.points.x.true_is: true_is beside invert, without true_is, or with both the same"},
		{"weight of a factor", withPoint(Point{Input: at(0), Parts: []Part{{}, {Offset: at(1), Is: "factor", Weight: &big}}}),
			"devices.d.points.x.parts.1.weight: a weight of a part that is factor"},
		{"weight of an exponent", withPoint(Point{Input: at(0), Parts: []Part{{}, {Offset: at(1), Is: "exponent",
			Weight: &bridge.Decimal{Coef: 15, Exp: -1}}}}),
			"devices.d.points.x.parts.1.weight: a weight of 1.5 of an exponent: use a whole number from -10 to 10"},
		{"add of a sign", withPoint(Point{Input: at(0), Parts: []Part{{}, {Offset: at(1), Is: "sign", Add: 1}}}),
			"devices.d.points.x.parts.1.add: add of a part that is no part of a time and no exponent"},
		{"factor that is written", withPoint(Point{Holding: at(0), Parts: []Part{{}, {Offset: at(1), Is: "factor"}},
			Writable: &permit.Writable{}}),
			"devices.d.points.x.writable: this value cannot be written: there is more than one way to write it with a part " +
				"that is factor"},
		{"multiple of nothing", withPoint(Point{Holding: at(0), Writable: &permit.Writable{MultipleOf: &bridge.Decimal{}}}),
			"devices.d.points.x.writable.multiple_of: a multiple of 0"},
		{"enum of a float", withPoint(Point{Input: at(0), Type: "float32", Enum: map[int64]string{1: "a"}}),
			"devices.d.points.x.enum: an enum of float32"},
		{"scale point missing", withPoint(Point{Input: at(0), ScalePoint: "y"}),
			`devices.d.points.x.scale_point: "y" is not a point of this device`},
		{"deadband of a bool", withPoint(Point{Coil: at(0), Deadband: &Deadband{}}),
			"devices.d.points.x.deadband: a deadband for a bool"},
		{"useless heartbeat", withPoint(Point{Input: at(0), Heartbeat: &minute}),
			"devices.d.points.x.heartbeat: a heartbeat of a point that is delivered each time"},
		{"statistic", withPoint(Point{Input: at(0), Report: &Report{minute, []string{"maen"}}}),
			`devices.d.points.x.report.as.0: "maen" is not a statistic: did you mean "mean"?`},
		{"mean of a bool", withPoint(Point{Coil: at(0), Report: &Report{minute, []string{"mean"}}}),
			"devices.d.points.x.report.as.0: the mean of a bool"},
		{"short report", withPoint(Point{Input: at(0), Report: &Report{1, []string{"mean"}}}),
			"devices.d.points.x.report.every: a report over 1ns of a point that is read every 1s"},
		{"name of a report", withDevice(func(d *Device) {
			d.Points = map[string]Point{"x": {Input: at(0), Report: &Report{minute, []string{"mean"}}}, "x_mean": {Input: at(1)}}
		}), "devices.d.points.x_mean: the report of x has this name"},
		{"reference", withPoint(Point{Ref: "40061", Type: "float32"}), ""},
		{"two buses at one place", func() Config {
			c := withPoint(Point{Input: at(0)})
			c.Buses["zz"] = testBus("PLC:502")
			return c
		}(), "warning: buses.zz.url: bus plc is at the same place, its settings count"},
		{"bus url", func() Config {
			c := withPoint(Point{Input: at(0)})
			c.Buses = map[string]Bus{"plc": testBus("plc:0")}
			return c
		}(), `buses.plc.url: "tcp://plc:0" has no port`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := test.c.Validate()
			switch {
			case test.want == "" && len(problems) == 0:
			case len(problems) != 1 || test.want == "" || !strings.HasPrefix(show(problems[0]), test.want):
				for _, p := range problems {
					t.Errorf("got  %s", show(p))
				}
				t.Errorf("want %s", test.want)
			}
		})
	}
}

// TestAllProblemsAtOnce: one run of check shows everything.
func TestAllProblemsAtOnce(t *testing.T) {
	c := withDevice(func(d *Device) {
		d.Bus, d.UnitID, d.Order = "x", -1, "?"
		d.Points = map[string]Point{"Bad Name": {Input: at(70000), Type: "foo"}, "y": {}}
	})
	if n := len(c.Validate()); n != 7 { // bus, unit_id, order, name, type, address, no address
		for _, p := range c.Validate() {
			t.Log(show(p))
		}
		t.Errorf("%d problems, want 7", n)
	}
}

func TestValidateBuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Bus)
		want   string
	}{
		{"serial", func(b *Bus) { b.URL = "rtu:///dev/ttyUSB0" }, ""},
		{"converter", func(b *Bus) { b.URL = "rtu+tcp://10.0.0.7:4001" }, ""},
		{"secure", func(b *Bus) { b.URL, b.TLS = "tls://10.0.0.8", &TLS{CA: "ca.pem"} }, ""},
		{"no port", func(b *Bus) { b.URL = "rtu:/" }, `buses.plc.url: "rtu:/" does not name a serial port`},
		{"no port of a converter", func(b *Bus) { b.URL = "rtu+tcp://10.0.0.7" },
			`buses.plc.url: "rtu+tcp://10.0.0.7" has no port`},
		{"kind", func(b *Bus) { b.URL = "sctp://10.0.0.7:1" }, `buses.plc.url: "sctp" is not a kind of bus: write tcp://`},
		{"datagrams", func(b *Bus) { b.URL, b.Pipeline = "udp://10.0.0.7", 4 }, ""},
		{"ascii", func(b *Bus) { b.URL, b.RS485 = "ascii:///dev/ttyUSB0", &RS485{} }, ""},
		{"ascii of 8 bits", func(b *Bus) { b.URL, b.DataBits = "ascii:///dev/ttyUSB0", 8 }, ""},
		{"ascii converter", func(b *Bus) { b.URL = "ascii+tcp://10.0.0.7:4001" }, ""},
		{"ascii nowhere", func(b *Bus) { b.URL = "ascii://10.0.0.7" },
			`buses.plc.url: "ascii://10.0.0.7" does not name a serial port`},
		{"ascii pipeline", func(b *Bus) { b.URL, b.Pipeline = "ascii+tcp://10.0.0.7:4001", 2 },
			"buses.plc.pipeline: several requests at once on ascii+tcp://"},
		{"rtu of 7 bits", func(b *Bus) { b.URL, b.DataBits = "rtu:///dev/ttyUSB0", 7 },
			"buses.plc.data_bits: 7 data bits on rtu://: RTU needs 8"},
		{"path", func(b *Bus) { b.URL = "tcp://10.0.0.7/1" }, `buses.plc.url: "tcp://10.0.0.7/1" is not a host and port`},
		{"baud", func(b *Bus) { b.Baud = 0 }, "buses.plc.baud: 0 baud"},
		{"parity", func(b *Bus) { b.Parity = "evne" }, `buses.plc.parity: "evne" is not a parity: did you mean "even"?`},
		{"data bits", func(b *Bus) { b.DataBits = 9 }, "buses.plc.data_bits: 9 data bits"},
		{"stop bits", func(b *Bus) { b.StopBits = 3 }, "buses.plc.stop_bits: 3 stop bits"},
		{"rs485 on tcp", func(b *Bus) { b.RS485 = &RS485{} }, "buses.plc.rs485: a direction to turn on tcp://"},
		{"rs485 delay", func(b *Bus) { b.URL, b.RS485 = "rtu:///dev/ttyS0", &RS485{DelayAfter: 1500000} },
			"buses.plc.rs485.delay_after: a delay of 1.5ms"},
		{"tls on tcp", func(b *Bus) { b.TLS = &TLS{} }, "buses.plc.tls: certificates for tcp://"},
		{"half a pair", func(b *Bus) { b.URL, b.TLS = "tls://a", &TLS{Certificate: "c.pem"} },
			"buses.plc.tls: a certificate without its private_key"},
		{"timeout", func(b *Bus) { b.Timeout = 0 }, "buses.plc.timeout: no time for an answer"},
		{"retries", func(b *Bus) { b.Retries = 11 }, "buses.plc.retries: 11 retries"},
	}
	for _, test := range tests {
		c := withPoint(Point{Input: at(0)})
		b := c.Buses["plc"]
		test.change(&b)
		c.Buses["plc"] = b
		var got []string
		for _, p := range c.Validate() {
			got = append(got, show(p))
		}
		if all := strings.Join(got, "\n"); test.want == "" && all != "" || !strings.HasPrefix(all, test.want) ||
			len(got) > 1 {
			t.Errorf("%s: got %s, want %s", test.name, all, test.want)
		}
	}
}

// TestF16: units 248 to 255 are there on lines, though reserved.
func TestF16UnitIDs(t *testing.T) {
	for _, url := range []string{"rtu:///dev/ttyS0", "rtu+tcp://h:1", "ascii:///dev/ttyS0", "ascii+tcp://h:1"} {
		for id, want := range map[int]string{1: "", 248: "", 255: "",
			0: "devices.d.points.x: unit 0 is all units of the line, and none answers: " +
				"add access: write: it can only be written; or give the unit_id of one, 1 to 255",
			256: "devices.d.unit_id: unit id 256 on a line: use 1 to 255, or 0 for all units at once"} {
			c := withDevice(func(d *Device) { d.UnitID = id })
			b := c.Buses["plc"]
			b.URL = url
			c.Buses["plc"] = b
			got := ""
			for _, p := range c.Validate() {
				got += show(p)
			}
			if got != want {
				t.Errorf("%s, unit %d: %q, want %q", url, id, got, want)
			}
		}
	}
}

func TestReferences(t *testing.T) {
	for ref, want := range map[string]string{
		"40061": "holding 60", "400061": "holding 60", "465536": "holding 65535", "30001": "input 0",
		"10001": "discrete 0", "00011": "coil 10", "000011": "coil 10",
	} {
		table, address, err := wire.ParseRef(ref)
		if got := fmt.Sprint(table, " ", address); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", ref, got, err, want)
		}
	}
	for _, ref := range []string{"", "40000", "20001", "50001", "4001", "4000001", "400000", "465537", "4x001"} {
		if err := new(Ref).UnmarshalText([]byte(ref)); err == nil {
			t.Errorf("%q was taken", ref)
		}
	}
}

// TestThin: a point is thinned as it says, or as its device says unless it counts up, has a
// report, or an aggregate would take another's name.
func TestThin(t *testing.T) {
	at := func(i int) *int { return &i }
	device := func(p Point) Device { return testDevice("plc", 1, map[string]Point{"x": p}) }
	d := device(Point{})
	d.Thin = &setting.Thin{}
	d.Points = map[string]Point{
		"power":  {Holding: at(0)},
		"energy": {Holding: at(1), Unit: "kWh"},
		"gas":    {Holding: at(2), Unit: "m³", Thin: &setting.Thin{Counters: true, Keep: []string{"last"}}},
		"mean":   {Holding: at(3), Report: &Report{Every: setting.Duration(time.Minute), As: []string{"mean"}}},
		"flow":   {Holding: at(4)}, "flow_max": {Holding: at(5)},
	}
	fields, problems := Fields(d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := map[string]string{}
	for _, f := range fields {
		got[f.Name] = "left alone"
		if f.Thin != nil {
			got[f.Name] = fmt.Sprint(f.Thin.To, f.Thin.Keep)
		}
	}
	all := "[1m0s 1h0m0s] [mean min max last]"
	want := map[string]string{"power": all, "energy": "left alone", "gas": "[1m0s 1h0m0s] [last]", "mean": "left alone",
		"flow": "left alone", "flow_max": all}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, p := range map[string]Point{
		"counts up": {Holding: at(0), Unit: "kWh", Thin: &setting.Thin{}},
		"report": {Holding: at(0), Thin: &setting.Thin{},
			Report: &Report{Every: setting.Duration(time.Minute), As: []string{"mean"}}},
		"keep": {Holding: at(0), Thin: &setting.Thin{Keep: []string{"median"}}},
	} {
		if _, problems := Fields(device(p)); len(problems) != 1 || problems[0].Path[2] != "thin" {
			t.Errorf("%s: %v", name, problems)
		}
	}
	d.Points["flow"] = Point{Holding: at(4), Thin: &setting.Thin{}}
	if _, problems := Fields(d); len(problems) != 1 {
		t.Errorf("a name that is taken: %v", problems)
	}
}
