package setting

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "250ms": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
		"1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.D() != want {
			t.Errorf("%q: got %v, %v", in, d.D(), err)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q is written as %q and read as %v, %v", in, d.String(), again, err)
		}
	}
	for _, in := range []string{"", "5", "5 s", "-5s", "d", "1.5d", "five", "1d-2h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken as %v", in, d.D())
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{"0": 0, "512": 512, "512B": 512, "64KiB": 65536, "1GiB": 1 << 30,
		"3TiB": 3 << 40} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%q: got %d, %v", in, s, err)
		}
	}
	if got := Size(400 << 10).String(); got != "400KiB" {
		t.Errorf("got %s", got)
	}
	for _, in := range []string{"", "KiB", "64kb", "64 KiB", "-1", "1.5GiB", "99999999999TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken as %d", in, s)
		}
	}
}

func FuzzScalars(f *testing.F) {
	for _, s := range []string{"1d12h", "64KiB", "2h", "-0", "1e-300"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var d Duration
		if d.UnmarshalText([]byte(in)) == nil {
			var again Duration
			if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
				t.Errorf("duration %q, written %q: %v", in, d, err)
			}
		}
		var s Size
		if s.UnmarshalText([]byte(in)) == nil {
			var again Size
			if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
				t.Errorf("size %q, written %q: %v", in, s, err)
			}
		}
	})
}

func TestDeadband(t *testing.T) {
	for in, want := range map[string]Deadband{"0.2": {0.2, false}, "1%": {1, true}, "5": {5, false}} {
		var d Deadband
		if err := d.UnmarshalText([]byte(in)); err != nil || d != want || d.String() != in {
			t.Errorf("%q: got %v, %v", in, d, err)
		}
	}
	for _, in := range []string{"", "%", "-1", "NaN", "inf", "NaN%", "1 %"} {
		var d Deadband
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken as %v", in, d)
		}
	}
}

func TestReportValidate(t *testing.T) {
	for _, tt := range []struct {
		r    Report
		want int
	}{
		{Report{Every: Duration(time.Minute), As: []string{"mean", "max"}}, 0},
		{Report{}, 2},
		{Report{Every: Duration(time.Second), As: []string{"avg", "max", "max"}}, 3},
	} {
		if got := tt.r.Validate(time.Second); len(got) != tt.want {
			t.Errorf("%+v: %v", tt.r, got)
		}
	}
}
