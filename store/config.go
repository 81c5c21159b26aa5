package store

import (
	"fmt"
	"path/filepath"
	"time"

	"fieldbridge/setting"
	"fieldbridge/store/journal"
)

// Config is the section store.
type Config struct {
	// Dir is the folder of the queue. It is made when it does not exist; one
	// gateway owns it.
	Dir setting.Path `yaml:"dir"`
	// MaxSize is the most disk space that the queue takes, with everything in
	// its folder: 16MiB or more. Dead letters and files in quarantine may take a
	// tenth of it each.
	MaxSize setting.Size `yaml:"max_size"`
	// MaxAge is how long a reading is kept at most, in time that the gateway
	// runs: a wrong clock or a long time without power drops nothing. 0s keeps
	// readings for ever.
	MaxAge setting.Duration `yaml:"max_age"`
	// WhenFull is what gives way at max_size or min_free: drop-oldest (default)
	// drops the oldest segment; drop-newest drops what is new, and sensors that
	// wait for an acknowledgement are refused. Either way it is counted, and the
	// cloud is told what is missing.
	WhenFull WhenFull `yaml:"when_full"`
	// CommitEvery is the most that a power cut can take of polled readings.
	// What the cloud acknowledges before is never written. 0s commits every
	// batch before it is sent.
	CommitEvery setting.Duration `yaml:"commit_every"`
	// AckWithin is how long a sensor waits for its acknowledgement at most while
	// there is no connection, 0s to 10s: those who come within it share one commit.
	// When all who wait send no more until they have theirs, it comes at once.
	AckWithin setting.Duration `yaml:"ack_within"`
	// Journal is where readings that are not on disk yet also lie, in memory that
	// outlives the process (tmpfs), so that a crash takes none: auto (default) is
	// the runtime directory of the unit, else /run/fieldbridge for root, else
	// $XDG_RUNTIME_DIR/fieldbridge; off; or an absolute path. It takes 4 MiB.
	Journal string `yaml:"journal"`
	// SegmentSize is how large one file of the queue grows, 1MiB to 1GiB and at
	// most an eighth of max_size. The default is 32MiB, or that eighth.
	SegmentSize setting.Size `yaml:"segment_size"`
	// MinFree is how much of the file system is left alone: the queue does not
	// grow when less is free.
	MinFree setting.Size `yaml:"min_free"`
}

// WhenFull is what gives way when the queue is full.
type WhenFull string

// What may give way.
const (
	DropOldest WhenFull = "drop-oldest"
	DropNewest WhenFull = "drop-newest"
)

// The defaults.
const (
	DefaultMaxSize     = 1 << 30
	DefaultMaxAge      = 30 * 24 * time.Hour
	DefaultCommitEvery = 3 * time.Second
	DefaultAckWithin   = 200 * time.Millisecond
	DefaultSegmentSize = 32 << 20
	DefaultMinFree     = 64 << 20
)

const (
	leastMaxSize     = 16 << 20
	leastSegmentSize = 1 << 20
	mostSegmentSize  = 1 << 30
	mostAckWithin    = 10 * time.Second
	mostCommitEvery  = 10 * time.Minute
	segmentsInSize   = 8 // so that dropping the oldest drops an eighth at most
)

// SetDefaults sets what a file need not say. SegmentSize stays 0, which is as
// its comment says.
func (c *Config) SetDefaults() {
	c.Dir = "queue"
	c.MaxSize = DefaultMaxSize
	c.MaxAge = setting.Duration(DefaultMaxAge)
	c.WhenFull = DropOldest
	c.CommitEvery = setting.Duration(DefaultCommitEvery)
	c.AckWithin = setting.Duration(DefaultAckWithin)
	c.Journal = journal.Auto
	c.MinFree = DefaultMinFree
}

// Validate returns everything that is wrong with c.
func (c Config) Validate() []setting.Problem {
	var problems []setting.Problem
	add := func(key, text, fix string) {
		problems = append(problems, setting.Problem{Path: []string{key}, Text: text, Fix: fix})
	}
	if c.Dir == "" {
		add("dir", "the queue has no folder", "name one on a disk that keeps its data, as /var/lib/fieldbridge/queue")
	}
	if c.MaxSize < leastMaxSize {
		add("max_size", c.MaxSize.String()+" is too small for a queue", "use 16MiB or more")
	}
	if c.WhenFull != DropOldest && c.WhenFull != DropNewest {
		add("when_full", fmt.Sprintf("%q is not known", c.WhenFull), "use drop-oldest or drop-newest")
	}
	if d := c.MaxAge.D(); d != 0 && d < time.Minute {
		add("max_age", "readings would be dropped after "+c.MaxAge.String(), "use 1m or more, or 0s to keep them for ever")
	}
	if c.CommitEvery.D() > mostCommitEvery {
		add("commit_every", "a power cut could take "+c.CommitEvery.String()+" of readings",
			"use 10m or less; 3s is the default")
	}
	if c.AckWithin.D() > mostAckWithin {
		add("ack_within", "a sensor would wait "+c.AckWithin.String()+" for its acknowledgement", "use 10s or less")
	}
	if j := c.Journal; j != "" && j != journal.Auto && j != journal.Off && !filepath.IsAbs(j) {
		add("journal", fmt.Sprintf("%q is not an absolute path", j), "use auto, off or a folder as /run/fieldbridge")
	}
	switch s := c.SegmentSize; {
	case s == 0:
	case s < leastSegmentSize || s > mostSegmentSize:
		add("segment_size", s.String()+" is out of range", "use 1MiB to 1GiB; 32MiB is the default")
	case s > c.MaxSize/segmentsInSize && c.MaxSize >= leastMaxSize:
		add("segment_size", "it is more than an eighth of max_size",
			fmt.Sprintf("use %d or less, or leave it out", c.MaxSize/segmentsInSize))
	}
	return problems
}

// segmentSize returns how large a segment file grows, in bytes.
func (c *Config) segmentSize() int64 {
	if c.SegmentSize != 0 {
		return int64(c.SegmentSize)
	}
	return min(DefaultSegmentSize, int64(c.MaxSize)/segmentsInSize)
}

// tenth is what dead letters and the quarantine may take each, in bytes.
func (c *Config) tenth() int64 { return int64(c.MaxSize) / 10 }
