package demo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/payload/proto"
)

// The same readings of all three formats make the same lines; what is none is told.
func TestTable(t *testing.T) {
	at := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	const want = `20:00:00.123  g  boiler  bad   bad: exception_2
20:00:00.123  g  boiler  temp  71.5
20:00:01.123  g  boiler  on    true
20:00:01.123  g  boiler  temp  71.6
`
	for format, payloads := range map[string][]string{
		"rows": {`{"v":1,"gateway":"g","batches":[{"seq":1,"device":"boiler","at":1795896000123,"points":{"temp":71.5},` +
			`"bad":{"bad":"exception_2"}},{"seq":2,"device":"boiler","at":1795896001123,"points":{"temp":71.6,"on":true}}]}`},
		"columns": {`{"v":1,"gateway":"g","devices":[{"device":"boiler","seq":[1,1],"at":[1795896000123,1000],"points":` +
			`{"temp":[71.5,71.6],"on":[null,true]},"bad":{"bad":{"0":"exception_2"}}}]}`},
		"flat": {`{"v":1,"timestamp":1795896000123,"gateway":"g","device":"boiler","run":"r","seq":1,"temp":71.5,` +
			`"bad":{"bad":"exception_2"}}`,
			`{"v":1,"timestamp":1795896001123,"gateway":"g","device":"boiler","run":"r","seq":2,` +
				`"temp":71.6,"on":true}`},
	} {
		var all table
		var text strings.Builder
		for _, p := range payloads {
			all.print(&text, awsiottest.Message{Topic: "t", Payload: []byte(p), At: at})
		}
		if columns(text.String()) != columns(want) {
			t.Errorf("%s:\n%swant\n%s", format, text.String(), want)
		}
	}
	var both table
	var protobuf strings.Builder
	for _, m := range protobufMessages(t) {
		m.At = at
		both.print(&protobuf, m)
	}
	lines := strings.Count(want, "\n")
	if got := columns(protobuf.String()); !strings.HasSuffix(got, columns(want)) || strings.Count(got, "\n") > lines+2 {
		t.Errorf("protobuf:\n%s", got)
	}
	var text strings.Builder
	for _, p := range []string{`{"type":"online","gateway":"g"}`, "\x1b[2J",
		`{"gateway":"g","batches":[{"device":"d","at":0,"points":{"mode":"auto \u202e"}}]}`,
		`{"gateway":"\u001b[2J","batches":[{"device":"d",` +
			`"at":0,"points":{"x":1}}]}`} {
		new(table).print(&text, awsiottest.Message{Topic: "t", Payload: []byte(p), At: at})
	}
	if got := text.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, `mode  "auto \u202e"`) ||
		!strings.Contains(got, `-- "online" on "t"`) ||
		!strings.Contains(got, `-- "4 bytes" on "t"`) || !strings.Contains(got, `"\x1b[2J"`) {
		t.Error(got)
	}
}

// protobufMessages are a catalogue and the same readings by numbers.
func protobufMessages(t *testing.T) []awsiottest.Message {
	t.Helper()
	book, _ := new(proto.Book).Add("boiler", []proto.Point{{Name: "temp", Kind: proto.Int, Places: 1},
		{Name: "on", Kind: proto.Bool}}, nil)
	catalogue, err := json.Marshal(map[string]any{"type": "catalog", "gateway": "g", "device": "boiler",
		"sheets": []payload.Sheet{payload.NewSheet(book.Sheet(1))}})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(seq uint64, ms int64, readings ...bridge.Reading) bridge.Entry {
		return bridge.Entry{Run: "r", Seq: seq, Batch: bridge.Batch{Device: "boiler", At: time.UnixMilli(ms),
			Readings: readings}}
	}
	one := entry(1, 1795896000123, bridge.Reading{Point: "temp", Value: bridge.Float64(71.5)},
		bridge.Reading{Point: "bad", Value: bridge.Bad(bridge.Exception(2))})
	two := entry(2, 1795896001123, bridge.Reading{Point: "temp", Value: bridge.Float64(71.6)},
		bridge.Reading{Point: "on", Value: bridge.Bool(true)})
	h := proto.Head{Gateway: "g"}
	var p proto.Packer
	if !p.Begin(h.Append(nil), book, &one, 5000, 5000) || !p.Add(&two) {
		t.Fatal("they do not fit")
	}
	return []awsiottest.Message{{Topic: "s", Payload: catalogue},
		{Topic: "t", Payload: p.Append(nil), ContentType: payload.ProtobufType}}
}

// columns is a table with one space between the columns.
func columns(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}
