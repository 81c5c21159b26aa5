package payload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
)

func emissions(devices, points int, every time.Duration) []Emission {
	var all []Emission
	for d := range devices {
		e := Emission{Device: fmt.Sprint("device-", d), Every: every}
		for p := range points {
			e.Readings = append(e.Readings, reading(fmt.Sprint("register_", p), Typical("uint16", false)))
		}
		all = append(all, e)
	}
	return all
}

func TestAdvice(t *testing.T) {
	for _, tt := range []struct {
		format Format
		linger time.Duration
		want   int
	}{{Columns, time.Second, 1}, {Columns, 10 * time.Second, 0}, {Rows, time.Second, 0}, {Flat, time.Second, 0}} {
		c := validSettings()
		c.Format, c.Linger = tt.format, setting.Duration(tt.linger)
		all := emissions(10, 20, time.Second)
		f, err := c.Forecast("g", nil, all)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Advice("g", nil, all, f)
		if len(got) != tt.want || tt.want > 0 && (!got[0].Warning || !strings.Contains(got[0].Text,
			"too few readings of each device")) {
			t.Errorf("%s at %v: %+v", tt.format, tt.linger, got)
		}
	}
}

func TestForecastFindsTooMuch(t *testing.T) {
	c := validSettings()
	c.Topic = "plant/{device}"
	f, err := c.Forecast("g", nil, emissions(200, 1, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Problems(80, 400<<10); len(p) != 1 || p[0].Path[0] != "topic" {
		t.Errorf("200 topics a second: %+v, %+v", f, p)
	}
	c.Topic = "plant"
	if f, err = c.Forecast("g", nil, emissions(100, 1, time.Second)); err != nil || len(f.Problems(80, 400<<10)) > 0 {
		t.Errorf("100 devices on a topic: %+v, %v", f, err)
	}
	if f, err = c.Forecast("g", nil, emissions(100, 1000, time.Second)); err != nil || len(f.Problems(80, 400<<10)) != 2 {
		t.Errorf("100,000 readings a second: %+v, %v", f.Problems(80, 400<<10), err)
	}
	if f, err = c.Forecast("g", nil, nil); err != nil || f.UnitsPerMonth() != 0 || f.BytesPerReading() != 0 {
		t.Errorf("nothing: %+v, %v", f, err)
	}
}
