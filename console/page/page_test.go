package page

import (
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/console/diary"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// write returns the page as a browser gets it.
func write(t *testing.T, s *State, ask Ask, points func(string) []Point) string {
	t.Helper()
	if s.Now.IsZero() {
		s.Now, s.Started, s.WellSince = now, now.Add(-time.Hour), now.Add(-3*time.Minute)
	}
	if points == nil {
		points = func(string) []Point { return nil }
	}
	return string(Write(s, ask, points))
}

func device(name string, good, bad int) Device {
	return Device{DeviceStatus: bridge.DeviceStatus{Device: name, Good: good, Bad: bad, Last: now}}
}

// Every text of the page is in German, too, with the same gaps; and no text is in the
// table that the page does not use.
func TestGermanIsWhole(t *testing.T) {
	used := map[string]bool{}
	for _, file := range []string{"whole.go", "overview.go", "device.go", "sentence.go", "words.go"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.say\("([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			used[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`count\([^"{}]*"([^"]+)",\s+"([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			used[m[1]], used[m[2]] = true, true
		}
	}
	if len(used) < 60 {
		t.Errorf("only %d texts are found", len(used))
	}
	gaps := regexp.MustCompile(`%[sd%]`)
	for text := range used {
		translated, ok := german[text]
		if !ok {
			t.Errorf("not in German: %q", text)
		} else if a, b := gaps.FindAllString(text, -1), gaps.FindAllString(translated, -1); !slices.Equal(a, b) {
			t.Errorf("%q has gaps %v, in German %v", text, a, b)
		}
	}
	for text := range german {
		if !used[text] {
			t.Errorf("translated and not used: %q", text)
		}
	}
}

// What is wrong has a German cause for each kind, and none for what is no kind; beside it
// stands the sentence of the part, marked as English.
func TestGermanCauses(t *testing.T) {
	left := maps.Clone(causes)
	for _, k := range condition.Kinds() {
		if causes[k.Code] == "" {
			t.Errorf("%s has no German cause", k.Code)
		}
		delete(left, k.Code)
	}
	for code := range left {
		t.Errorf("%s is no kind", code)
	}
	s := &State{Conditions: []condition.Condition{condition.CommandsOff.At("commands", now.Add(-time.Hour))}}
	text := strings.ReplaceAll(write(t, s, Ask{Language: German}, nil), "&#39;", "'")
	for _, want := range []string{"<span>" + causes["commands_off"] + "</span>",
		`<span class="soft" lang="en">all commands of the cloud are refused`, "<small>seit 1 h</small>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	text = write(t, s, Ask{Language: English}, nil)
	if !strings.Contains(text, `<span lang="en">all commands`) || strings.Contains(text, causes["commands_off"]) {
		t.Errorf("in English: %s", text)
	}
}

func TestPrefer(t *testing.T) {
	for header, want := range map[string]Language{
		"": English, "de": German, "de-CH": German, "de-DE,de;q=0.9,en;q=0.8": German, "en-US,en;q=0.9,de;q=0.8": English,
		"fr,de;q=0.5,en;q=0.4": German, "en;q=0.1, de;q=0.2": German, "de;q=0": English, "DE": German, "den": English,
		"d": English, ";;,": English, "de;q=x,en;q=0.1": English,
	} {
		if got := Prefer(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestHeadline(t *testing.T) {
	down := condition.UplinkDown.At("uplink", now.Add(-time.Minute), "refused: check it")
	off := condition.CommandsOff.At("commands", now.Add(-time.Hour))
	alarm := condition.QueueRefusesNew.At("queue", now.Add(-time.Second), "the queue is full and", "raise it")
	for _, tt := range []struct {
		conditions         []condition.Condition
		level, title, then string
	}{
		{nil, "well", "All is well", "for 3 min"},
		{[]condition.Condition{down}, "waits", "The cloud is away, readings are kept", "for 1 min"},
		{[]condition.Condition{down, off}, "look", "It works, and something wants a look", "for 1 h"},
		{[]condition.Condition{down, off, alarm}, "alarm", "Someone must act", "for 1 h"},
	} {
		s := &State{Conditions: tt.conditions}
		text := write(t, s, Ask{Language: English}, nil)
		for _, want := range []string{`<header class="` + tt.level + `">`, ">" + tt.title + "</h1>", ">" + tt.then + " · "} {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q", tt.conditions, want)
			}
		}
		for _, c := range tt.conditions {
			if !strings.Contains(strings.ReplaceAll(text, "&#39;", "'"), c.Text) {
				t.Errorf("no %q", c.Text)
			}
		}
	}
	all := sorted([]condition.Condition{off, down, alarm})
	if all[0].Code != alarm.Code || all[1].Code != off.Code {
		t.Errorf("order %v", all)
	}
}

// A release on trial tells what it waits for, and no other program tells anything.
func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		program *Program
		want    []string
	}{
		{&Program{Since: now.Add(-time.Minute), Attempts: 1}, []string{"on trial for 1 min", "version 1.2.0, started 1 time",
			"not ready yet"}},
		{&Program{Since: now.Add(-time.Minute), Attempts: 2, Until: now.Add(time.Hour), Missing: []string{"a", "<b>"}},
			[]string{"started 2 times", "given up in 1 h if this stays so:", "a; &lt;b&gt;"}},
		{&Program{Since: now.Add(-time.Hour), Attempts: 1, Until: now.Add(time.Minute), Missing: []string{"a"}, Kept: true},
			[]string{">a</p>", "kept in 1 min, as"}},
		{&Program{Since: now.Add(-time.Minute), Attempts: 1, Until: now.Add(time.Hour)}, []string{"all is as before"}},
	} {
		text := write(t, &State{Program: tt.program, Version: "1.2.0"}, Ask{Language: English}, nil)
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%+v: no %q in\n%s", tt.program, want, text)
			}
		}
		if given := strings.Contains(text, "given up"); given != (len(tt.program.Missing) > 1) {
			t.Errorf("%+v: given up: %t", tt.program, given)
		}
	}
	if text := write(t, &State{}, Ask{Language: English}, nil); strings.Contains(text, `id="program"`) {
		t.Error("a program that is not on trial has a place")
	}
}

// Whatever comes from outside stays text.
func TestNothingBecomesMarkup(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	c := condition.DeviceDown.At("device "+evil, now, evil)
	s := &State{Gateway: evil, Run: evil, Version: evil, Config: evil, Conditions: []condition.Condition{c},
		Link:    bridge.LinkStatus{Endpoint: evil, Own: &bridge.CertificateStatus{Subject: evil}},
		Buses:   []bridge.BusStatus{{Bus: evil, Address: evil, Detail: evil, Down: now}},
		Devices: []Device{{DeviceStatus: bridge.DeviceStatus{Device: evil, Via: evil, Reason: evil, Detail: evil, Bad: 1}}},
		Events: []diary.Event{{At: now, Kind: diary.Begins, Subject: evil, Text: evil},
			{At: now, Kind: diary.Started, Text: evil}},
		Unmatched: []Topic{{Topic: evil, Payload: evil}}, Refused: []Client{{ID: evil, Why: evil, Address: evil}}}
	points := func(string) []Point {
		return []Point{{Name: evil, Unit: evil, Bad: evil, LastGood: evil, Raw: evil}}
	}
	for _, ask := range []Ask{{Language: English, User: evil}, {Language: German, Device: evil, Up: 1},
		{Language: English, Find: evil}} {
		text := write(t, s, ask, points)
		if n := strings.Count(text, "<script"); n != 1 || strings.Contains(text, "<img") ||
			!strings.Contains(text, "alert(1)") {
			t.Errorf("%d scripts in\n%s", n, text)
		}
	}
}

// A bad value has the last good one beside it, greyed; numbers are short.
func TestPoints(t *testing.T) {
	s := &State{Devices: []Device{device("boiler", 1, 2)}}
	text := write(t, s, Ask{Language: English}, func(string) []Point {
		return []Point{
			{Name: "a", Text: "71.29195", Unit: "°C", At: now.Add(-3 * time.Second), Course: [][2]float32{{1, 1}, {2, 2}}},
			{Name: "b", Bad: "timeout", At: now, LastGood: "7", LastGoodAt: now.Add(-2 * time.Hour)},
			{Name: "c", Bad: "refused", At: now}, {Name: "d"}}
	})
	for _, want := range []string{
		`value="71.29195" title="71.29195 °C">71.292 <small>°C</small>`, ">3 s<",
		`<data class="old" value="7" title="7">7</data> <span class="bad">timeout</span>`, ">2 h<",
		`<span class="bad">refused</span>`, "never good", "not read yet", `aria-label="last 1 h: 1 to 2"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A device of which nothing came since the start is neither well nor ill, and what was
// learnt of one that is well is no fault.
func TestIdleDevices(t *testing.T) {
	boiler, oven := device("boiler", 1, 0), device("oven", 0, 0)
	boiler.Detail, oven.Last = "learnt: refuses input 2000+2", time.Time{}
	s := &State{Devices: []Device{boiler, oven}}
	text := write(t, s, Ask{Language: English}, func(string) []Point { return nil })
	for _, want := range []string{`id="device-boiler" class="well"`, `class="why soft" lang="en">learnt: refuses`,
		`id="device-oven" class="idle"`, "not read well since the start"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
}

// Many devices are one line each, but for troubled ones, which come first.
func TestManyDevices(t *testing.T) {
	s := &State{}
	for i := range 1200 {
		s.Devices = append(s.Devices, device(fmt.Sprint("meter-", i), 4, 0))
	}
	s.Devices[77] = device("meter-77", 3, 1)
	points := func(string) []Point {
		return []Point{{Name: "a", Text: "1"}, {Name: "b", Text: "2"}, {Name: "c", Text: "3"}, {Name: "d", Text: "4"}}
	}
	text := write(t, s, Ask{Language: English}, points)
	var order []string
	for _, m := range regexp.MustCompile(`<article id="device-([^"]+)" class="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		order = append(order, m[1]+" "+m[2])
	}
	if want := []string{"meter-77 look", "meter-0 well line", "meter-1 well line",
		"meter-2 well line"}; len(order) != 1000 ||
		!slices.Equal(order[:4], want) || order[11] != "meter-10 well line" {
		t.Errorf("%d devices: %v", len(order), order[:12])
	}
	for _, want := range []string{"1\u202f200 devices, 4\u202f800 values, 1 of them bad",
		"200 more: the filter finds them",
		"and 1 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	text = write(t, s, Ask{Language: English, Find: "METER-69 "}, points)
	if n := strings.Count(text, "<article"); n != 11 || !strings.Contains(text, "11 of 1200") {
		t.Errorf("found %d", n)
	}
}

func TestNatural(t *testing.T) {
	names := []string{"b", "a10", "a2", "a", "a02", "a1b", "A", "meter-10-2", "meter-9-11", "meter-10-1"}
	slices.SortFunc(names, natural)
	if got := strings.Join(names, " "); got != "A a a1b a02 a2 a10 b meter-9-11 meter-10-1 meter-10-2" {
		t.Error(got)
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{
		"71.29195": "71.292", "12345.67": "12345.67", "-0.00012345678": "-0.0001235", "0.5": "0.5", "7": "7",
		"1e-07": "1e-07",
		"true":  "true", "v1.2.3.4": "v1.2.3.4", "3.99999": "4", "-12.0004": "-12",
		"18446744073709551615": "18446744073709551615",
		"":                     "", "0.05": "0.05", "192.168": "192.168",
	} {
		if got := short(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestSpark(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	same := func(values ...float32) (course [][2]float32) {
		for _, v := range values {
			course = append(course, [2]float32{v, v})
		}
		return course
	}
	for _, tt := range []struct {
		course [][2]float32
		want   Spark
	}{
		{nil, Spark{}}, {same(nan, nan), Spark{}},
		{same(nan, 3, nan, nan), Spark{"M45.0 12.0h.1", false, "3", "3"}},
		{same(0, 10, nan, 5), Spark{"M15.0 22.0h.1L45.0 2.0M105.0 12.0h.1", false, "0", "10"}},
		{same(inf, -math.MaxFloat32, math.MaxFloat32, nan), Spark{"M45.0 22.0h.1L75.0 2.0", false,
			"-340282350000000000000000000000000000000", "340282350000000000000000000000000000000"}},
		// A peak within a step is drawn, by the shorter way.
		{[][2]float32{{5, 5}, {5, 10}, {0, 9}, {nan, nan}},
			Spark{"M15.0 12.0h.1L45.0 12.0L45.0 2.0L75.0 4.0L75.0 22.0", false, "0", "10"}},
		{[][2]float32{{0, 10}}, Spark{"M60.0 22.0L60.0 2.0", false, "0", "10"}},
		// What moves within each step is a band, with its gaps.
		{[][2]float32{{0, 10}, {0, 9}, {nan, nan}, {1, 10}, {0, 10}}, Spark{"M12.0 2.0L36.0 4.0L36.0 22.0L12.0 22.0Z" +
			"M84.0 2.0L108.0 2.0L108.0 22.0L84.0 20.0Z", true, "0", "10"}},
		{[][2]float32{{0, 1}, {3, 4}, {6, 7}, {9, 10}}, Spark{"M15.0 22.0L15.0 20.0L45.0 16.0L45.0 14.0L75.0 10.0L75.0 8.0" +
			"L105.0 4.0L105.0 2.0", false, "0", "10"}},
	} {
		if got := spark(tt.course); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.course, got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min 30 s", 20*time.Minute + time.Second: "20 min",
		3*time.Hour + 12*time.Minute: "3 h 12 min", 41*24*time.Hour + time.Hour: "41 Tage", 2 * time.Hour: "2 h",
	} {
		if got := German.span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func BenchmarkPage500(b *testing.B) {
	s := &State{Now: now, Started: now.Add(-time.Hour)}
	for i := range 500 {
		s.Devices = append(s.Devices, device(fmt.Sprint("meter-", i), 4, 0))
	}
	p := []Point{{Name: "a", Text: "1.5", Unit: "kW"}, {Name: "b", Text: "2", Unit: "V"},
		{Name: "c", Text: "3", Unit: "A"}}
	for b.Loop() {
		b.SetBytes(int64(len(Write(s, Ask{Language: English}, func(string) []Point { return p }))))
	}
}
