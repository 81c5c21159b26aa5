package setting

import (
	"testing"
	"time"
)

func TestThinValidate(t *testing.T) {
	spans := func(d ...time.Duration) (all []Duration) {
		for _, x := range d {
			all = append(all, Duration(x))
		}
		return all
	}
	for name, x := range map[string]struct {
		t    *Thin
		want int
	}{
		"nil":          {nil, 0},
		"default":      {&Thin{}, 0},
		"off":          {&Thin{off: true}, 0},
		"one":          {&Thin{To: spans(time.Minute), Keep: []string{"last"}}, 0},
		"no span":      {&Thin{To: []Duration{}}, 1},
		"too many":     {&Thin{To: spans(1e9, 2e9, 4e9, 8e9, 16e9)}, 1},
		"too short":    {&Thin{To: spans(time.Millisecond)}, 1},
		"too long":     {&Thin{To: spans(25 * time.Hour)}, 1},
		"backwards":    {&Thin{To: spans(time.Hour, time.Minute)}, 1},
		"no multiple":  {&Thin{To: spans(time.Minute, 90*time.Second)}, 1},
		"nothing kept": {&Thin{Keep: []string{}}, 1},
		"unknown":      {&Thin{Keep: []string{"median", "mean"}}, 1},
		"twice":        {&Thin{Keep: []string{"mean", "mean"}}, 1},
	} {
		if got := x.t.Validate(); len(got) != x.want {
			t.Errorf("%s: %v, want %d", name, got, x.want)
		}
	}
	var t1 Thin
	if err := t1.UnmarshalText([]byte("off")); err != nil || t1.Spans() != nil {
		t.Errorf("off: %v, %v", err, t1.Spans())
	}
	if err := t1.UnmarshalText([]byte("on")); err == nil {
		t.Error("on is taken")
	}
}

func TestCountsUp(t *testing.T) {
	for _, x := range []struct {
		point, unit string
		want        bool
	}{
		{"active_energy", "", true}, {"import", "kWh", true}, {"gas", "m³", true}, {"pulse_count", "", true},
		{"volume_total", "l", true}, {"supply_temp", "°C", false}, {"power", "kW", false}, {"country", "", false},
		{"totality", "", false},
	} {
		if got := CountsUp(x.point, x.unit); got != x.want {
			t.Errorf("%s in %q: %v", x.point, x.unit, got)
		}
		if got := (&Thin{}).Of(x.point, x.unit); (got == nil) != x.want {
			t.Errorf("%s in %q by its device: %v", x.point, x.unit, got)
		}
		if got := (&Thin{}).Forbids(x.point, x.unit); (len(got) > 0) != x.want {
			t.Errorf("%s in %q by itself: %v", x.point, x.unit, got)
		}
		if got := (&Thin{Counters: true}).Forbids(x.point, x.unit); len(got) > 0 {
			t.Errorf("%s in %q, told that it counts: %v", x.point, x.unit, got)
		}
	}
}
