package bridge_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"

	"github.com/google/go-cmp/cmp"
)

func num(point string, v float64) bridge.Reading {
	return bridge.Reading{Point: point, Value: bridge.Float64(v)}
}

// step is what comes in after a wait and what must go out.
type step struct {
	wait time.Duration
	in   bridge.Reading
	want []string
}

// deliver runs steps through a collector that knows one point, "a" of "d".
func deliver(t *testing.T, d *bridge.Delivery, before func(int, *bridge.Collector), steps ...step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		var catalogue bridge.Catalogue
		catalogue.Put(bridge.DeviceInfo{Device: "d", Points: []bridge.PointInfo{{Name: "a", Delivery: d}, {Name: "b"}}})
		c := bridge.NewCollector(q, fits{n: 100}, &catalogue, always(true), slog.New(slog.DiscardHandler))
		for i, s := range steps {
			time.Sleep(s.wait) // the bubble's clock
			if before != nil {
				before(i, c)
			}
			c.Emit(bridge.Batch{Device: "d", At: time.Now(), Readings: []bridge.Reading{s.in}}, nil)
			if diff := cmp.Diff(s.want, q.delivered()); diff != "" {
				t.Errorf("step %d: %s", i, diff)
			}
		}
	})
}

func TestOnChange(t *testing.T) {
	deliver(t, &bridge.Delivery{OnChange: true, Heartbeat: time.Minute}, nil,
		step{0, good("a", 1), []string{"d.a=1"}},
		step{time.Second, good("a", 1), nil},
		step{time.Second, good("a", 2), []string{"d.a=2"}},
		step{59 * time.Second, good("a", 2), nil},
		step{time.Second, good("a", 2), []string{"d.a=2"}}, // the heartbeat
		step{time.Second, good("b", 2), []string{"d.b=2"}}, // another point is not held back
		step{time.Second, good("b", 2), []string{"d.b=2"}},
		step{time.Second, bad("a", bridge.ReasonTimeout), []string{"d.a=bad: timeout"}},
		step{time.Second, bad("a", bridge.ReasonTimeout), nil},
		step{time.Second, good("a", 2), []string{"d.a=2"}}, // good again, though the same
		step{time.Second, good("a", 2), nil},
	)
}

func TestSendAll(t *testing.T) {
	deliver(t, &bridge.Delivery{OnChange: true}, func(i int, c *bridge.Collector) {
		if i == 2 {
			c.SendAll()
		}
	},
		step{0, good("a", 1), []string{"d.a=1"}},
		step{time.Second, good("a", 1), nil},
		step{time.Second, good("a", 1), []string{"d.a=1"}},
		step{time.Second, good("a", 1), nil},
	)
}

func TestDeadband(t *testing.T) {
	deliver(t, &bridge.Delivery{Deadband: 0.2}, nil,
		step{0, num("a", 71.5), []string{"d.a=71.5"}},
		step{time.Second, num("a", 71.6), nil},
		step{time.Second, num("a", 71.35), nil}, // of the delivered one, not of the last
		step{time.Second, num("a", 71.7), []string{"d.a=71.7"}},
		step{time.Second, num("a", 71.6), nil},
		step{bridge.DefaultHeartbeat, num("a", 71.6), []string{"d.a=71.6"}},
	)
	deliver(t, &bridge.Delivery{Deadband: 1, Percent: true}, nil,
		step{0, num("a", -200), []string{"d.a=-200"}},
		step{time.Second, num("a", -201.9), nil},
		step{time.Second, num("a", -202), []string{"d.a=-202"}},
		step{time.Second, num("a", 0), []string{"d.a=0"}},
		step{time.Second, num("a", 0), nil}, // a percentage of 0 is any change
		step{time.Second, num("a", 0.001), []string{"d.a=0.001"}},
	)
	deliver(t, &bridge.Delivery{Deadband: 5}, nil, // a bool has no deadband
		step{0, bridge.Reading{Point: "a", Value: bridge.Bool(true)}, []string{"d.a=true"}},
		step{time.Second, bridge.Reading{Point: "a", Value: bridge.Bool(true)}, nil},
		step{time.Second, bridge.Reading{Point: "a", Value: bridge.Bool(false)}, []string{"d.a=false"}},
	)
}

func TestReport(t *testing.T) {
	d := &bridge.Delivery{Report: &bridge.Report{Every: time.Minute, As: bridge.Statistics}}
	// The bubble's clock begins at midnight.
	deliver(t, d, nil,
		step{50 * time.Second, num("a", 1), nil},
		step{5 * time.Second, num("a", 4), nil},
		step{5 * time.Second, num("a", 9), []string{"d.a_mean=2.5", "d.a_min=1", "d.a_max=4", "d.a_last=4"}},
		step{time.Minute, num("a", 7), []string{"d.a_mean=9", "d.a_min=9", "d.a_max=9", "d.a_last=9"}},
		step{time.Second, bad("a", bridge.ReasonTimeout),
			[]string{"d.a_mean=bad: timeout", "d.a_min=bad: timeout", "d.a_max=bad: timeout", "d.a_last=bad: timeout"}},
		step{time.Second, bad("a", bridge.ReasonTimeout), nil},
		step{time.Minute, bad("a", bridge.ReasonTimeout), []string{"d.a_mean=7", "d.a_min=7", "d.a_max=7", "d.a_last=7",
			"d.a_mean=bad: timeout", "d.a_min=bad: timeout", "d.a_max=bad: timeout", "d.a_last=bad: timeout"}},
		step{time.Minute, num("a", 3), nil}, // a span without a good reading tells nothing
		step{time.Minute, num("a", 3), []string{"d.a_mean=3", "d.a_min=3", "d.a_max=3", "d.a_last=3"}},
	)
	deliver(t, d, nil,
		step{0, bridge.Reading{Point: "a", Value: bridge.String("on")}, nil},
		step{time.Minute, bridge.Reading{Point: "a", Value: bridge.String("off")}, []string{"d.a_last=on"}},
	)
}

func TestCatalogueTellsReports(t *testing.T) {
	var c bridge.Catalogue
	_, _, changed := c.Snapshot()
	c.Put(bridge.DeviceInfo{Device: "d", Points: []bridge.PointInfo{
		{Name: "x", Type: "bool"},
		{Name: "load", Type: "int16", Unit: "A", Delivery: &bridge.Delivery{Report: &bridge.Report{Every: time.Minute,
			As: []bridge.Statistic{bridge.Mean, bridge.Maximum}}}},
	}})
	<-changed
	devices, version, _ := c.Snapshot()
	want := []bridge.PointInfo{{Name: "load_max", Type: "int16", Unit: "A"},
		{Name: "load_mean", Type: "float64", Unit: "A"}, {Name: "x", Type: "bool"}}
	if diff := cmp.Diff(want, devices[0].Points); diff != "" {
		t.Error(diff)
	}
	c.Put(bridge.DeviceInfo{Device: "d", Points: []bridge.PointInfo{{Name: "load_mean", Type: "float64", Unit: "A"},
		{Name: "load_max", Type: "int16", Unit: "A"}, {Name: "x", Type: "bool"}}})
	if _, again, _ := c.Snapshot(); again != version {
		t.Error("the same points are a change")
	}
	c.Remove("d")
	if devices, again, _ := c.Snapshot(); len(devices) != 0 || again == version {
		t.Errorf("after removal: %v", devices)
	}
}

// TestWhole: what someone asked for is delivered unchanged, and its heartbeat
// counts from there.
func TestWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &recorder{}
		var catalogue bridge.Catalogue
		rule := &bridge.Delivery{OnChange: true, Heartbeat: time.Minute}
		catalogue.Put(bridge.DeviceInfo{Device: "d",
			Points: []bridge.PointInfo{{Name: "a", Delivery: rule}, {Name: "b", Delivery: rule}}})
		c := bridge.NewCollector(q, fits{n: 100}, &catalogue, always(true), slog.New(slog.DiscardHandler))
		emit := func(whole bool) []string {
			c.Emit(bridge.Batch{Device: "d", At: time.Now(), Whole: whole,
				Readings: []bridge.Reading{good("a", 1), bad("b", bridge.ReasonTimeout)}}, nil)
			return q.delivered()
		}
		all := []string{"d.a=1", "d.b=bad: timeout"}
		for i, want := range [][]string{all, nil, all, nil} {
			if diff := cmp.Diff(want, emit(i == 2)); diff != "" {
				t.Errorf("step %d (-want +got):\n%s", i, diff)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(19 * time.Second) // 79 s after the first, 59 s after the one that was asked for
		if got := emit(false); got != nil {
			t.Errorf("%v before the heartbeat", got)
		}
	})
}

// TestCatalogueShares: devices that have their points in common have what is told of
// them in common, too, also where it was made of reports.
func TestCatalogueShares(t *testing.T) {
	mean := &bridge.Delivery{Report: &bridge.Report{Every: time.Minute, As: []bridge.Statistic{bridge.Mean}}}
	for name, points := range map[string][]bridge.PointInfo{
		"plain":   {{Name: "a"}, {Name: "b", Unit: "V"}},
		"reports": {{Name: "a"}, {Name: "b", Delivery: mean}},
		"changes": {{Name: "a"}, {Name: "b", Delivery: &bridge.Delivery{OnChange: true}}},
	} {
		var c bridge.Catalogue
		for _, device := range []string{"d0", "d1"} {
			c.Put(bridge.DeviceInfo{Device: device, Points: points})
		}
		c.Put(bridge.DeviceInfo{Device: "other", Points: []bridge.PointInfo{{Name: "b"}, {Name: "a"}}})
		devices, _, _ := c.Snapshot()
		if &devices[0].Points[0] != &devices[1].Points[0] {
			t.Errorf("%s: two devices of a profile hold their points twice", name)
		}
		if got := devices[2].Points; got[0].Name != "a" || got[0].Unit != "" {
			t.Errorf("%s: another device has %v", name, got)
		}
	}
}
