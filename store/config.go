package store

import (
	"time"

	"fieldbridge/bridge/setting"
)

// Config is the section store.
type Config struct {
	// Dir is the folder of the queue. It is made when it does not exist; one
	// gateway owns it.
	Dir setting.Path `yaml:"dir"`
	// CommitEvery is the most that a power cut can take of polled readings.
	// What the cloud acknowledges before is never written. 0s commits every
	// batch before it is sent.
	CommitEvery setting.Duration `yaml:"commit_every"`
}

// DefaultCommitEvery is the default of commit_every.
const DefaultCommitEvery = 3 * time.Second

// SetDefaults sets what a file need not say.
func (c *Config) SetDefaults() {
	c.Dir = "queue"
	c.CommitEvery = setting.Duration(DefaultCommitEvery)
}

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem {
	var problems []setting.Problem
	if c.Dir == "" {
		problems = append(problems, setting.Problem{Path: []string{"dir"}, Text: "the queue has no folder",
			Fix: "name one on a disk that keeps its data, as /var/lib/fieldbridge/queue"})
	}
	if d := c.CommitEvery.D(); d > 10*time.Minute {
		problems = append(problems, setting.Problem{Path: []string{"commit_every"},
			Text: "a power cut could take " + c.CommitEvery.String() + " of readings", Fix: "use 10m or less; 3s is the default"})
	}
	return problems
}

// segmentSize returns how large a segment file grows, in bytes.
func (q *Queue) segmentSize() int64 { return 32 << 20 }
