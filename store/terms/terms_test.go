package terms

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
)

func TestConfigDefaultsAreValid(t *testing.T) {
	var c Config
	c.SetDefaults()
	if p := c.Validate(); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if c.Segment() != 32<<20 {
		t.Errorf("segment size %d", c.Segment())
	}
	c.MaxSize = 64 << 20
	if c.Segment() != 8<<20 {
		t.Errorf("segment size %d of a small queue", c.Segment())
	}
}

func TestConfigProblems(t *testing.T) {
	for _, tt := range []struct {
		key    string
		change func(c *Config)
		text   string
	}{
		{"dir", func(c *Config) { c.Dir = "" }, "no folder"},
		{"max_size", func(c *Config) { c.MaxSize = 1 << 20 }, "1MiB is too small"},
		{"max_age", func(c *Config) { c.MaxAge = setting.Duration(time.Second) }, "after 1s"},
		{"when_full", func(c *Config) { c.WhenFull = "explode" }, `"explode" is not known`},
		{"commit_every", func(c *Config) { c.CommitEvery = Pace(time.Hour) }, "1h of readings"},
		{"segment_size", func(c *Config) { c.SegmentSize = 1000 }, "out of range"},
		{"segment_size", func(c *Config) { c.SegmentSize = 256 << 20 }, "an eighth"},
	} {
		var c Config
		c.SetDefaults()
		tt.change(&c)
		p := c.Validate()
		if len(p) != 1 || len(p[0].Path) != 1 || p[0].Path[0] != tt.key || !strings.Contains(p[0].Text, tt.text) ||
			p[0].Fix == "" {
			t.Errorf("%s: %+v", tt.key, p)
		}
	}
}
