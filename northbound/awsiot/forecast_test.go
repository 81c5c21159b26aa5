package awsiot

import (
	"fmt"
	"testing"
	"time"
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

func TestForecastFindsTooMuch(t *testing.T) {
	c := validConfig()
	c.Topic = "plant/{device}"
	f, err := c.Forecast("g", nil, emissions(200, 1, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Problems(&c); len(p) != 1 || p[0].Path[0] != "topic" {
		t.Errorf("200 topics a second: %+v, %+v", f, p)
	}
	c.Topic = "plant"
	if f, err = c.Forecast("g", nil, emissions(100, 1, time.Second)); err != nil || len(f.Problems(&c)) > 0 {
		t.Errorf("100 devices on a topic: %+v, %v", f, err)
	}
	if f, err = c.Forecast("g", nil, emissions(100, 1000, time.Second)); err != nil || len(f.Problems(&c)) != 2 {
		t.Errorf("100,000 readings a second: %+v, %v", f.Problems(&c), err)
	}
	if f, err = c.Forecast("g", nil, nil); err != nil || f.UnitsPerMonth() != 0 || f.BytesPerReading() != 0 {
		t.Errorf("nothing: %+v, %v", f, err)
	}
}
