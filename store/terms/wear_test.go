package terms

import (
	"testing"
	"time"
)

func TestWearText(t *testing.T) {
	for text, want := range map[string]Wear{
		"10GB/year": {10e9, "year"}, "1.5GB/year": {1500e6, "year"}, "30MB/day": {30e6, "day"},
		"800MB/month": {800e6, "month"}, "10GiB/year": {10 << 30, "year"}, "1.5GiB/year": {3 << 29, "year"},
		"0.5TB/year": {500e9, "year"}, "70kB/day": {70e3, "day"}, "70KB/day": {70e3, "day"},
	} {
		var w, again Wear
		if err := w.UnmarshalText([]byte(text)); err != nil || w != want {
			t.Errorf("%s: %+v, %v", text, w, err)
		}
		if err := again.UnmarshalText([]byte(w.String())); err != nil || again != w {
			t.Errorf("%s is written %s: %+v, %v", text, w, again, err)
		}
	}
	for _, text := range []string{"", "10GB", "GB/year", "10/year", "10GB/", "10GB/week", "-1GB/year", "0GB/year",
		"1e3GB/year",
		"10 GB/year", "10GB / year", "99999999999TB/day", "infGB/day", "NaNGB/day", "1.2.3GB/day", "10gb/year",
		"0.0001kB/day"} {
		var w Wear
		if err := w.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, w)
		}
	}
	if (Wear{Bytes: 10e9, Per: "year"}).In() != 365*24*time.Hour || (Wear{}).In() != 0 || (Wear{}).String() != "" {
		t.Error("the time of a budget is wrong")
	}
}

func FuzzWear(f *testing.F) {
	f.Add("10GB/year")
	f.Add("1.5GiB/month")
	f.Fuzz(func(t *testing.T, text string) {
		var w, again Wear
		if w.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(w.String())); err != nil || w.Bytes <= 0 {
			t.Fatalf("%q is %+v, %s: %v", text, w, w, err)
		}
		if off := again.Bytes - w.Bytes; off > 1 || off < -1 {
			t.Fatalf("%q: %d bytes are %d", text, w.Bytes, again.Bytes)
		}
	})
}
