package mqtt

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"io"
	"testing"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

func unhex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func compress(t testing.TB, text string, with func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := with(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t testing.TB, text string) string {
	return compress(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

const (
	cborT    = "a16174f94d60"             // {"t": 21.5}
	msgpackT = "81a174cb4035800000000000" // the same
)

// What is compressed or packed is read as the text that it stands for.
func TestCaseP21(t *testing.T) {
	points := payload.Points{"t": {Path: "t"}}
	deflated := compress(t, `{"t":21.5}`, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	for _, c := range []struct{ format, payload string }{
		{"", gzipped(t, `{"t":21.5}`)}, {"", deflated}, {"cbor", unhex(t, cborT)}, {"msgpack", unhex(t, msgpackT)},
		{"cbor", gzipped(t, unhex(t, cborT))}, {"json", gzipped(t, `{"t":21.5}`)},
	} {
		s := source(t, Sensor{Topic: "z/{device}", Format: c.format, Points: points})
		rig.Same(t, c.format, told(take(s, "z/a", c.payload)), []string{"a t=21.5"})
	}
	for format, text := range map[string]string{"": gzipped(t, "21.5"), "cbor": unhex(t, "f94d60"),
		"msgpack": "\xa421.5"} {
		s := source(t, Sensor{Topic: "z/{device}", Format: format, Point: "t"})
		rig.Same(t, format+" value", told(take(s, "z/a", text)), []string{"a t=21.5"})
	}
	s := source(t, Sensor{Topic: "z/{device}", Format: "csv", Points: payload.Points{"t": {Column: 1}}})
	rig.Same(t, "lines", told(take(s, "z/a", gzipped(t, "21.5\n22\n"))), []string{"a t=21.5", "a t=22"})
	s = source(t, Sensor{Topic: "z/{device}", Format: "cbor", Each: "@this", Points: points})
	rig.Same(t, "elements", told(take(s, "z/a", unhex(t, "82"+cborT+cborT))), []string{"a t=21.5", "a t=21.5"})
}

// An MQTT 5 client may say what it sends.
func TestContentType(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(sensor("z", Sensor{Topic: "z/{device}", Points: payload.Points{"t": {Path: "t"}}})),
		Options{}, r.emit)
	c := rig.Dial(t, address(t, s), 5, "c")
	for i, m := range [][2]string{{"application/cbor", cborT}, {"application/msgpack; x=y", msgpackT}} {
		property := append([]byte{3}, rig.String(m[0])...) // content type (MQTT 5, section 3.3.2.3.9)
		body := append(rig.String("z/a"), 0, byte(i+1), byte(len(property)))
		c.Write(0x32, append(append(body, property...), unhex(t, m[1])...))
		c.Expect(0x40, uint16(i+1))
	}
	rig.Same(t, "values", values(r.wait(t, 2)), []string{"a.t=21.5", "a.t=21.5"})
}

// What cannot be read at all makes the points of its device bad: nobody shall
// believe the old values.
func TestUnreadableMakesPointsBad(t *testing.T) {
	points := payload.Points{"t": {Path: "t"}, "h": {Path: "h"}}
	bad := []string{"a h=bad: wrong_type t=bad: wrong_type"}
	for name, c := range map[string]struct{ format, good, broken string }{
		"JSON":    {"", `{"t":1,"h":2}`, `{"t":1,"h":`},
		"CBOR":    {"cbor", unhex(t, "a2617401616802"), "\xff"},
		"msgpack": {"msgpack", unhex(t, "82a17401a16802"), "\xc1"},
		"gzip":    {"", gzipped(t, `{"t":1,"h":2}`), gzipped(t, `{"t":1,"h":2}`)[:20]},
		"bomb":    {"", `{"t":1,"h":2}`, gzipped(t, string(make([]byte, 8<<20)))},
	} {
		t.Run(name, func(t *testing.T) {
			s := source(t, Sensor{Topic: "z/{device}", Format: c.format, Points: points})
			if got := take(s, "z/a", c.broken); len(got) != 0 {
				t.Errorf("before anything was read: %v", told(got))
			}
			rig.Same(t, "good", told(take(s, "z/a", c.good)), []string{"a h=2 t=1"})
			rig.Same(t, "broken", told(take(s, "z/a", c.broken)), bad)
			rig.Same(t, "empty", told(take(s, "z/a", "")), []string(nil))
			rig.Same(t, "device", s.Devices()[0].Bad, 2)
		})
	}
	s := source(t, Sensor{Topic: "z/{device}", Points: points})
	take(s, "z/a", `{"t":1}`)
	rig.Same(t, "another message", told(take(s, "z/a", `{"event":"button"}`)), []string(nil))
	rig.Same(t, "device", s.Devices()[0].Good, 1)
	s = source(t, Sensor{Topic: "z/{device}", Each: "@this", Points: points})
	take(s, "z/a", `[{"t":1,"h":2}]`)
	rig.Same(t, "elements", told(take(s, "z/a", `[{"t":1`)), bad)
}
