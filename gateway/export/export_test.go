package export

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

func TestExportFormats(t *testing.T) {
	entries := []bridge.Entry{{Run: "3k7q9x2m", Seq: 7, Batch: bridge.Batch{Device: "boiler", At: time.UnixMilli(1763887500123), Unsynced: true, Readings: []bridge.Reading{
		{Point: "temp", Value: bridge.Float32(71.5)}, {Point: "name", Value: bridge.String("a \"b\",\n°C")},
		{Point: "energy", Value: bridge.Bad(bridge.Exception(2))}, {Point: "count", Value: bridge.Uint(5_000_000_000)}, {Point: "on", Value: bridge.Bool(true)}}}}}
	want := map[string]string{
		"csv": `time,gateway,run,seq,device,point,value,quality
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,temp,71.5,good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,name,"a ""b"",
°C",good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,energy,,exception_2
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,count,5000000000,good
2025-11-23T08:45:00.123Z,press,3k7q9x2m,7,boiler,on,true,good
`,
		"jsonl": `{"v":1,"gateway":"press","run":"3k7q9x2m","seq":7,"device":"boiler","at":1763887500123,"clock":"unsynced","points":{"temp":71.5,"name":"a \"b\",\u000a°C","count":5000000000,"on":true},"bad":{"energy":"exception_2"}}
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
