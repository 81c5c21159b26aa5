package page

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console/diary"
)

// everywhere returns the pages on which all that comes from outside is text.
func everywhere(text string) (pages [][]byte) {
	c := condition.DeviceDown.At("device "+text, now, "%s")
	c.Text, c.Severity = text, condition.Alarm
	for _, ask := range []Ask{{Language: English, User: text}, {Language: German, Device: text, Up: 1},
		{Language: English, Find: text}, {Language: English}} {
		s := &State{Gateway: text, Run: text, Version: text, Config: text, Conditions: []condition.Condition{c},
			Now: now, Started: now, WellSince: now,
			Link:  bridge.LinkStatus{Endpoint: text, Own: &bridge.CertificateStatus{Subject: text}},
			Buses: []bridge.BusStatus{{Bus: text, Address: text, Detail: text, Down: now}},
			Devices: []Device{{DeviceStatus: bridge.DeviceStatus{Device: text, Original: text, Via: text, Reason: text,
				Detail: text, Bad: 1}}},
			Events: []diary.Event{{At: now, Kind: diary.Begins, Subject: text, Text: text},
				{At: now, Kind: diary.Ends, Subject: text, Text: text}, {At: now, Kind: diary.Started, Text: text}},
			Unmatched: []Topic{{Topic: text, Payload: text}}, Refused: []Client{{ID: text, Why: text, Address: text}}}
		points := func(string) []Point {
			return []Point{{Name: text, Unit: text, Bad: text, LastGood: text, Raw: text, Course: [][2]float32{{1, 1}, {2, 2}}},
				{Name: text, Unit: text, Text: text}}
		}
		pages = append(pages, Write(s, ask, points), Login(ask, true))
	}
	return pages
}

// shape returns the elements and attributes that a browser makes of a page.
func shape(t *testing.T, page []byte) string {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			continue
		}
		b.WriteString("\n" + n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Key)
			if a.Key == "href" || a.Key == "src" || a.Key == "action" {
				b.WriteString("=" + strings.SplitAfter(a.Val, "device/")[0])
			}
		}
	}
	return b.String()
}

// FuzzNothingBecomesMarkup gives the page what a device may be called and say: there is
// no element and no attribute that is not there for another text, too.
func FuzzNothingBecomesMarkup(f *testing.F) {
	f.Add(`<script>alert(1)</script>"'><img src=x onerror=alert(1)>`)
	f.Add("\" autofocus onfocus=alert(1) x='")
	f.Add("</title></textarea></noscript><!--")
	f.Add("javascript:alert(1)\x00")
	plain := everywhere("boiler")
	f.Fuzz(func(t *testing.T, text string) {
		for i, page := range everywhere("x" + text) {
			if want, got := shape(t, plain[i]), shape(t, page); got != want {
				t.Fatalf("page %d of %q has%s\nand not%s", i, text, got, want)
			}
		}
	})
}
