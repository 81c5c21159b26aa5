// Package terms is what a configuration says of the queue: what it may take, and
// what it promises for that.
package terms

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"fieldbridge/bridge"
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
	// batch before it is sent. linger writes nothing that the cloud acknowledges
	// within 5 s of the uplink's linger: a power cut then takes that much,
	// and 3 s while there is no connection.
	CommitEvery Pace `yaml:"commit_every"`
	// FlashBudget is how much the queue writes to its disk on a long average, as
	// 10GB/year, 800MB/month or 30MB/day, 1.5GB/year or more; by default there is no
	// limit. Commits come less often once it is used up: a power cut takes more
	// polled readings then, and a sensor waits longer for its acknowledgement
	// while there is no connection. Nothing is dropped for it.
	FlashBudget Wear `yaml:"flash_budget"`
	// AckWithin is how long a sensor waits for its acknowledgement at most while
	// there is no connection, 0s to 10s: those who come within it share one commit.
	// When all who wait send no more until they have theirs, it comes at once.
	AckWithin setting.Duration `yaml:"ack_within"`
	// Journal is where readings that are not on disk yet also lie, in memory that
	// outlives the process (tmpfs), so that a crash takes none: auto (default) is
	// the runtime directory of the unit, else /run/fieldbridge for root, else
	// $XDG_RUNTIME_DIR/fieldbridge; off; or an absolute path. It takes a
	// thirty-second of the gateway's memory, 4 MiB unless memory is set.
	Journal string `yaml:"journal"`
	// SegmentSize is how large one file of the queue grows, 1MiB to 1GiB and at
	// most an eighth of max_size. The default is 32MiB, or that eighth.
	SegmentSize setting.Size `yaml:"segment_size"`
	// MinFree is how much of the file system is left alone: the queue does not
	// grow when less is free.
	MinFree setting.Size `yaml:"min_free"`
	// Memory is how much memory readings may take that are not on disk, in bytes;
	// 0 is [DefaultMemory]. No file says it: it follows from the memory of the gateway.
	Memory int64 `yaml:"-"`
	// Origin is who measures what the queue takes. Without a name it is who did before.
	Origin bridge.Origin `yaml:"-"`
	// Linger is that of the uplink, for commit_every: linger.
	Linger time.Duration `yaml:"-"`
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
	DefaultMemory      = 8 << 20 // some 100,000 readings
)

// LeastMaxSize is the smallest max_size, in bytes, MostCommitEvery the longest
// commit_every.
const (
	LeastMaxSize    = 16 << 20
	MostCommitEvery = 10 * time.Minute
)

const (
	leastSegmentSize = 1 << 20
	mostSegmentSize  = 1 << 30
	mostAckWithin    = 10 * time.Second
	segmentsInSize   = 8 // so that dropping the oldest drops an eighth at most
)

// SetDefaults sets what a file need not say. SegmentSize stays 0, which is as
// its comment says.
func (c *Config) SetDefaults() {
	c.Dir = "queue"
	c.MaxSize = DefaultMaxSize
	c.MaxAge = setting.Duration(DefaultMaxAge)
	c.WhenFull = DropOldest
	c.CommitEvery = Pace(DefaultCommitEvery)
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
	if c.MaxSize < LeastMaxSize {
		add("max_size", c.MaxSize.String()+" is too small for a queue", "use 16MiB or more")
	}
	if c.WhenFull != DropOldest && c.WhenFull != DropNewest {
		add("when_full", fmt.Sprintf("%q is not known", c.WhenFull), "use drop-oldest or drop-newest")
	}
	if d := c.MaxAge.D(); d != 0 && d < time.Minute {
		add("max_age", "readings would be dropped after "+c.MaxAge.String(), "use 1m or more, or 0s to keep them for ever")
	}
	if time.Duration(c.CommitEvery) > MostCommitEvery {
		add("commit_every", "a power cut could take "+c.CommitEvery.String()+" of readings",
			"use 10m or less; 3s is the default")
	}
	switch {
	case c.FlashBudget.tooLittle():
		add("flash_budget", c.FlashBudget.String()+" is less than a commit every ten minutes costs",
			"use 1.5GB/year or more, and commit_every: linger if the flash is to be spared while the cloud is there")
	case c.FlashBudget.Bytes != 0 && c.CommitEvery == 0:
		add("flash_budget", "with commit_every 0s each batch is committed before it is sent, whatever that costs",
			"let commit_every be longer, or leave flash_budget out")
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
	case s > c.MaxSize/segmentsInSize && c.MaxSize >= LeastMaxSize:
		add("segment_size", "it is more than an eighth of max_size",
			fmt.Sprintf("use %d or less, or leave it out", c.MaxSize/segmentsInSize))
	}
	return problems
}

// Segment returns how large a segment file grows, in bytes.
func (c *Config) Segment() int64 {
	if c.SegmentSize != 0 {
		return int64(c.SegmentSize)
	}
	return min(DefaultSegmentSize, int64(c.MaxSize)/segmentsInSize)
}

// Tenth is what dead letters and the quarantine may take each, in bytes.
func (c *Config) Tenth() int64 { return int64(c.MaxSize) / 10 }

// MemoryMost is what is kept in memory at the most, in bytes: what cannot be written
// beyond that is dropped, the oldest first.
func (c *Config) MemoryMost() int64 { return cmp.Or(c.Memory, DefaultMemory) }

// JournalMost is how large the journal is, in bytes. What does not fit is committed at
// once, so that the memory never holds much more than a kill leaves.
func (c *Config) JournalMost() int64 { return c.MemoryMost() / 2 }

// Full is how much may wait in memory before it is committed without regard to its
// age: about half of what it holds.
func (c *Config) Full() bridge.Count {
	return bridge.Count{Batches: uint64(c.MemoryMost() / 256), Readings: uint64(c.MemoryMost() / 128)}
}

// Block is how much one block on disk has, or a batch more: half of what makes the
// memory full, and not more than can be read back at little cost.
func (c *Config) Block() bridge.Count {
	full := c.Full()
	return bridge.Count{Batches: min(full.Batches/2, 16<<10), Readings: min(full.Readings/2, 32<<10)}
}
