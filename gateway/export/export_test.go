package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/ledger"
	"fieldbridge/northbound/awsiot/payload"
)

func TestExportFormats(t *testing.T) {
	entries := []bridge.Entry{{Run: "3k7q9x2m", Seq: 7, Batch: bridge.Batch{
		Device: "boiler", At: time.UnixMilli(1763887500123), Unsynced: true, Readings: []bridge.Reading{
			{Point: "temp", Value: bridge.Float32(71.5)}, {Point: "name", Value: bridge.String("a \"b\",\n°C")},
			{Point: "energy", Value: bridge.Bad(bridge.Exception(2))}, {Point: "count", Value: bridge.Uint(5_000_000_000)},
			{Point: "on", Value: bridge.Bool(true)}}}}}
	want := map[string]string{
		"csv": `time,gateway,run,seq,device,point,value,quality
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,temp,71.5,good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,name,"a ""b"",
°C",good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,energy,,exception_2
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,count,5000000000,good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,on,true,good
`,
		"jsonl": `{"v":1,"gateway":"press","run":"3k7q9x2m","clock":"unsynced","batches":[` +
			`{"seq":7,"device":"boiler","at":1763887500123,` +
			`"points":{"temp":71.5,"name":"a \"b\",\n°C","count":5000000000,"on":true},` +
			`"bad":{"energy":"exception_2"}}]}
`,
		"sitewise": `/press/boiler/temp,DOUBLE,1763887500,123000000,GOOD,71.5
/press/boiler/name,STRING,1763887500,123000000,GOOD,"a ""b"",
°C"
/press/boiler/count,DOUBLE,1763887500,123000000,GOOD,5000000000
/press/boiler/on,BOOLEAN,1763887500,123000000,GOOD,true
`}
	for _, format := range Formats {
		var b strings.Builder
		x, err := New(&b, format, "press")
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Write(entries); err != nil {
			t.Fatal(err)
		}
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[format], b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", format, d)
		}
		if format == "jsonl" && !json.Valid([]byte(b.String())) {
			t.Error("no JSON")
		}
	}
	if _, err := New(nil, "xml", ""); err == nil {
		t.Error("xml is a format")
	}
}

// Every exception that a device can answer with has a name of its own in what is
// exported and in every message, and the ledger reads them all.
func TestEveryExceptionArrives(t *testing.T) {
	var entries []bridge.Entry
	for code := range 256 {
		entries = append(entries, bridge.Entry{Run: "3k7q9x2m", Seq: uint64(code + 1), Position: bridge.Position(code + 1),
			Batch: bridge.Batch{Device: "boiler", At: time.UnixMilli(1763887500123 + int64(code)), Readings: []bridge.Reading{
				{Point: "energy", Value: bridge.Bad(bridge.Exception(byte(code)))}}}})
	}
	check := func(what, text string) {
		t.Helper()
		for code := range 256 {
			if name := fmt.Sprintf("exception_%d", code); strings.Count(text, name+`"`)+strings.Count(text, name+"\n") != 1 {
				t.Errorf("%s: %s is not there once", what, name)
			}
		}
		if what == "csv" {
			return
		}
		var l ledger.Ledger
		if err := l.Read(t.Context(), what, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		r := l.Report()
		if len(r.Unreadable) > 0 || len(r.Runs) != 1 || r.Runs[0].Last != 256 || len(r.Runs[0].Missing()) > 0 {
			t.Errorf("%s: the ledger has %+v", what, r)
		}
	}
	for _, format := range []string{"csv", "jsonl"} {
		var b strings.Builder
		x, err := New(&b, format, "press")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.Write(entries), x.Flush()); err != nil {
			t.Fatal(err)
		}
		check(format, b.String())
	}
	for _, format := range []payload.Format{payload.Rows, payload.Columns, payload.Flat} {
		var s payload.Settings
		s.SetDefaults()
		s.Topic, s.Format = "plant", format
		f, err := payload.New(&s, "press", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for rest := entries; len(rest) > 0; {
			m, n, err := f.Pack(rest)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(m.Payload, '\n'))
			rest = rest[n:]
		}
		check(string(format), b.String())
	}
}

// TestWhoMeasured: an export says who measured what, and is not written without that.
func TestWhoMeasured(t *testing.T) {
	e := bridge.Entry{Run: "r", Seq: 1, Batch: bridge.Batch{Device: "d",
		Readings: []bridge.Reading{{Point: "p", Value: bridge.Int(1)}}}}
	old := e
	old.Origin = &bridge.Origin{Gateway: "old-line", Labels: map[string]string{"site": "brno"}}
	for _, format := range Formats {
		var b strings.Builder
		x, err := New(&b, format, "press")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.Write([]bridge.Entry{old, e}), x.Flush()); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		lines = lines[len(lines)-2:]
		if !strings.Contains(lines[0], "old-line") || strings.Contains(lines[0], "press") ||
			!strings.Contains(lines[1], "press") || strings.Contains(b.String(), "brno") {
			t.Errorf("%s: %s", format, &b)
		}
		if x, err = New(&b, format, ""); err != nil {
			t.Fatal(err)
		}
		if err := x.Write([]bridge.Entry{old}); err != nil {
			t.Errorf("%s: what says whose it is needs no name: %v", format, err)
		}
		if err := x.Write([]bridge.Entry{e}); !errors.Is(err, ErrWhose) {
			t.Errorf("%s: %v", format, err)
		}
	}
}
