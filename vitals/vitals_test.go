package vitals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/setting"
)

// The gateway is read as often as it is asked, as the catalogue tells it, and a
// change is used at once.
func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		figures := Figures{Started: start, Connected: true, Backlog: 5, Disk: 1 << 20, Memory: 2 << 20, Oldest: start,
			Expires: start.Add(24 * time.Hour), Ledger: bridge.Ledger{Waiting: bridge.Count{Batches: 1, Readings: 7}},
			Devices:    []bridge.DeviceStatus{{Bad: 2}, {Bad: 1}},
			Buses:      []bridge.BusStatus{{Load: 0.25}, {Load: 0.5}},
			Conditions: []condition.Condition{condition.CommandsOff.At("commands", start)},
		}
		var catalogue bridge.Catalogue
		s := New(Config{Device: "gateway"}, func() Figures { return figures }, &catalogue)
		var got []bridge.Batch
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.Run(ctx, func(b bridge.Batch, _ func(error)) { got = append(got, b) })
		}()
		time.Sleep(time.Hour)
		if all, _, _ := catalogue.Snapshot(); len(got) > 0 || len(all) > 0 {
			t.Errorf("nobody asked for it: %v, %v", got, all)
		}
		s.Apply(Config{Every: setting.Duration(time.Minute), Device: "box"})
		time.Sleep(150 * time.Second)
		synctest.Wait()
		if len(got) != 2 || got[0].Device != "box" || got[1].At.Sub(got[0].At) != time.Minute {
			t.Fatalf("batches %v", got)
		}
		all, _, _ := catalogue.Snapshot()
		if len(all) != 1 || all[0].Device != "box" || len(all[0].Points) != len(got[0].Readings) {
			t.Fatalf("catalogue %v", all)
		}
		want := map[string]string{"connected": "true", "waiting": "7", "backlog": "5", "bad_points": "3", "bus_load": "0.5",
			"warnings": "1", "alarms": "0", "problems": "commands_off commands", "uptime": "3660", "oldest": "3660",
			"certificate_left": "82740", "disk": "1048576", "memory": "2097152"}
		for i, r := range got[0].Readings {
			if all[0].Points[i].Name != r.Point || !r.Value.Good() {
				t.Errorf("reading %d is %s, the catalogue has %s", i, r.Point, all[0].Points[i].Name)
			}
			if w, ok := want[r.Point]; ok && r.Value.String() != w {
				t.Errorf("%s is %s, want %s", r.Point, r.Value, w)
			}
			delete(want, r.Point)
		}
		if len(want) > 0 {
			t.Errorf("not read: %v", want)
		}
		s.Apply(Config{Device: "box"})
		synctest.Wait()
		n := len(got)
		time.Sleep(time.Hour)
		if all, _, _ := catalogue.Snapshot(); len(got) != n || len(all) > 0 {
			t.Error("it is read though nobody asks any more")
		}
		stop()
		<-ended
	})
}

// However much is wrong, the text has an end, after a whole problem.
func TestProblemsAreBounded(t *testing.T) {
	var f Figures
	for i := range 100 {
		f.Conditions = append(f.Conditions, condition.DeviceDown.At(fmt.Sprintf("device d%03d", i), time.Time{}, "x"))
	}
	text := problems(&f)
	if len(text) > mostProblems+4 || !strings.HasPrefix(text, "device_down device d000, ") ||
		!strings.HasSuffix(text, ", ...") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	f.Conditions = f.Conditions[:1]
	f.Conditions[0].Subject = strings.Repeat("x", 2*mostProblems)
	if text := problems(&f); len(text) > mostProblems+4 {
		t.Errorf("one long problem: %d bytes", len(text))
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		good bool
	}{
		{Config{Device: "gateway"}, true}, {Config{Device: "g", Every: setting.Duration(time.Second)}, true},
		{Config{Device: "g", Every: setting.Duration(time.Millisecond)}, false}, {Config{Device: "g h"}, false},
		{Config{}, false}, {Config{Device: "g", Every: -1}, false},
	} {
		if got := tt.c.Validate(); (len(got) == 0) != tt.good {
			t.Errorf("%+v: %v", tt.c, got)
		}
	}
	if n := len(Typical()); n != len(points) || !slices.IsSortedFunc(points, func(a, b struct {
		bridge.PointInfo
		read func(f *Figures, now time.Time) bridge.Value
	}) int {
		return strings.Compare(a.Name, b.Name)
	}) {
		t.Errorf("%d typical readings, or points that are not sorted", n)
	}
}
