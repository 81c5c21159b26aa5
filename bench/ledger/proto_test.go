package ledger

import (
	"encoding/binary"
	"math"
	"testing"
)

// message writes a protobuf message of fields: a number, and an unsigned number, text or bytes.
func message(of ...any) (b []byte) {
	for i := 0; i < len(of); i += 2 {
		field := uint64(of[i].(int)) << 3
		switch v := of[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, field), uint64(v))
		case float64:
			b = binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, field|1), math.Float64bits(v))
		case string:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, field|2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, field|2), uint64(len(v))), v...)
		}
	}
	return b
}

func varints(of ...int) (b []byte) {
	for _, n := range of {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func doubles(of ...float64) (b []byte) {
	for _, n := range of {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n))
	}
	return b
}

func TestProto(t *testing.T) {
	head := []any{1, 1, 2, "gateway", 3, "3k7q9x2m", 4, 1.7e12, 5, 1.0}
	modbus := message(1, 16384, 2, "d1", 3, "r0", 3, "r5", 3, "r10", 4, "uiu")
	sensor := message(1, 16385, 2, "s1", 3, "seq", 3, "ts", 3, "v", 4, "udf")
	zigzag := func(n int) int { return n<<1 ^ n>>63 }
	for _, c := range []struct {
		name                   string
		row                    []any
		distinct, unknown, dup int64
	}{
		{"a row", []any{12, message(3, 16384, 5, varints(7, 9), 6, varints(zigzag(8)))}, 3, 0, 0},
		{"one is absent", []any{12, message(3, 16384, 5, varints(math.MaxUint32, 9), 6, varints(zigzag(8)))}, 2, 0, 0},
		{"a list ends early", []any{12, message(3, 16384, 5, varints(7))}, 1, 0, 0},
		{"picks", []any{13, message(3, 16384, 4, varints(3), 5, varints(9))}, 1, 0, 0},
		{"picks with a run", []any{13, message(3, 16384, 4, varints(1, 0, 2), 5, varints(7, 9), 6, varints(zigzag(8)))}, 3, 0, 0},
		{"twice", []any{12, message(3, 16384, 5, varints(7)), 12, message(3, 16384, 5, varints(7))}, 1, 0, 1},
		{"a sensor", []any{12, message(3, 16385, 5, varints(4), 8, doubles(1.7e15))}, 1, 0, 0},
		{"a sensor with places", []any{10, message(1, 16386, 2, "s0", 3, "seq", 3, "ts", 4, "ud", 5, []byte{1, 0}),
			12, message(3, 16386, 5, varints(40), 8, doubles(1.7e15)),
			12, message(3, 16385, 5, varints(4), 8, doubles(1.7e15))}, 2, 0, 0},
		{"a sheet that is not there", []any{12, message(3, 1, 5, varints(4))}, 0, 0, 0},
		{"cut off", []any{12, "\x18"}, 0, 0, 0},
	} {
		d := &Decoder{Devices: 2, Registers: 20, Stride: 5, Sensors: 2, DeviceAt: "before"}
		l := New(d.Keys())
		d.Decode(l, []byte("bench/all"), message(append(append(head, 10, modbus, 10, sensor), c.row...)...), false)
		if got := l.Totals(); got.Distinct != c.distinct || got.Unknown != c.unknown || got.Duplicates != c.dup {
			t.Errorf("%s: %+v", c.name, got)
		}
		if c.name == "a sensor with places" && l.Missing([]uint32{8: 4, 9: 4}) != 6 {
			t.Errorf("%s: seq was not 4", c.name)
		}
	}
}

// Numbers that a catalogue alone names are kept until it is there; columns are differences,
// of each point one for each batch.
func TestProtoCatalogue(t *testing.T) {
	zigzag := func(n int) int { return int(uint32(int32(n)<<1 ^ int32(n)>>31)) }
	d := &Decoder{Devices: 2, Registers: 20, Stride: 5, Sensors: 2, DeviceAt: "before", Status: "bench/status"}
	l := New(d.Keys())
	send := func(parts ...any) {
		d.Decode(l, []byte("bench/all"), message(append([]any{1, 1, 2, "g"}, parts...)...), false)
	}
	block := message(1, 1, 2, varints(0, zigzag(1000), zigzag(1000)), 3, varints(0, zigzag(1), zigzag(1)), 4, varints(1, 0, 2),
		5, varints(zigzag(7), zigzag(1), zigzag(1), zigzag(65535), zigzag(-65535), zigzag(5)),
		6, varints(zigzag(40), zigzag(-1), zigzag(2)))
	send(15, block)
	send(15, message(1, 2, 2, varints(0, zigzag(500)), 3, varints(0, zigzag(1)), 5, varints(zigzag(4), zigzag(1)),
		8, doubles(1.6e15, 1.7e15)))
	send(12, message(3, 1, 5, varints(20, 30), 6, varints(zigzag(50))))
	if got := l.Totals(); got.Messages != 0 {
		t.Errorf("%d messages are booked that nobody can read", got.Messages)
	}
	const catalogue = `{"v":1,"type":"catalog","device":"d1","points":{"r0":{"type":"uint16"}},"book":7,"sheets":[` +
		`{"sheet":1,"device":"d1","names":["r0","r5","r10"],"lists":"uui"},` +
		`{"sheet":2,"device":"s1","names":["seq","ts"],"lists":"ud","places":"AAA="}]}`
	d.Decode(l, []byte("bench/status"), []byte(`{"v":1,"type":"online"}`), false)
	d.Decode(l, []byte("bench/status"), []byte(catalogue), false)
	got := l.Totals()
	if got.Messages != 3 || got.Distinct != 9+2+3 || got.Unknown != 0 || got.Duplicates != 0 || got.LatencyCount != 2 {
		t.Errorf("%+v", got)
	}
	// r0 had 7, 8, 9 and 20, r5 65535, 0, 5 and 30, r10 40, 39, 41 and 50, the sensor 4 and 5.
	upTo := make([]uint32, d.Keys())
	for reg, n := range map[int]uint32{0: 9, 5: 5, 10: 41} {
		upTo[d.RegKey(1, reg)] = n
	}
	upTo[d.SensorKey(1)] = 5
	if missing := l.Missing(upTo); missing != (9-3)+(5-1)+(41-3)+(5-2) {
		t.Errorf("%d are missing", missing)
	}
}
