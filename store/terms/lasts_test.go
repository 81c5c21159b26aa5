package terms

import (
	"testing"
	"time"

	"fieldbridge/setting"
)

func TestLasts(t *testing.T) {
	var c Config
	c.SetDefaults()
	c.MaxAge = 0
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name        string
		readings    float64
		free        int64
		every       time.Duration
		least, most time.Duration // by what was measured: 1,050 bytes for 150 readings, 6,875 for 2,400
	}{
		{"50 readings a second", 50, 1 << 30, 3 * time.Second, 35 * day, 36 * day},
		{"800 readings a second", 800, 1 << 30, 3 * time.Second, 4 * day, 6 * day},
		{"committed each second", 50, 1 << 30, time.Second, 17 * day, 20 * day},
		{"one a minute", 1. / 60, 1 << 30, 3 * time.Second, 1000 * day, 2000 * day},
		{"none", 0, 1 << 30, 3 * time.Second, 0, 0},
		{"no room", 50, 0, 3 * time.Second, 0, 0},
		{"less than none", 50, -5, 3 * time.Second, 0, 0},
		{"one in an age", 1e-12, 1 << 50, 3 * time.Second, 100 * 365 * day, 1 << 62},
	} {
		c.CommitEvery = Pace(tt.every)
		if got := c.Lasts(tt.readings, tt.free); got < tt.least || got > tt.most {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
	c.CommitEvery, c.MaxAge = Pace(3*time.Second), setting.Duration(30*day)
	if got, age := c.Offline(50, 1<<30); got != 30*day || !age {
		t.Errorf("max_age ends it after %s, %v", got, age)
	}
	if got, age := c.Offline(800, 1<<30); got > 6*day || age {
		t.Errorf("max_size ends it after %s, %v", got, age)
	}
}
