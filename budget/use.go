package budget

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// Use is how much of a limit is in use, in bytes.
type Use struct {
	Bytes, Limit int64
	Of           string // for people: "the limit of the heap", "the control group"
}

// Above reports whether more than n eighths of the limit are in use.
func (u Use) Above(n int64) bool { return u.Limit > 0 && u.Bytes > u.Limit/8*n }

// Gauge measures what the process uses. It is for one goroutine.
type Gauge struct {
	root    fs.FS
	samples []metrics.Sample
	group   group // with the least limit; its limit is 0 where there is none
	found   time.Time
}

// findAgain is how often the groups are looked through anew: a limit seldom changes, and
// ten files or more are to be read for it.
const findAgain = time.Minute

// What the runtime counts against its limit, and of that what a collection would free
// (runtime/metrics).
const (
	limitOf = iota
	total
	released
	objects
	free
	unused
	live
)

// NewGauge returns a gauge of this process.
func NewGauge() *Gauge {
	g := &Gauge{root: os.DirFS("/")}
	for _, name := range []string{limitOf: "/gc/gomemlimit:bytes", total: "/memory/classes/total:bytes",
		released: "/memory/classes/heap/released:bytes", objects: "/memory/classes/heap/objects:bytes",
		free: "/memory/classes/heap/free:bytes", unused: "/memory/classes/heap/unused:bytes",
		live: "/gc/heap/live:bytes"} {
		g.samples = append(g.samples, metrics.Sample{Name: name})
	}
	return g
}

// Read returns the use of the limit that is nearest: that of the runtime, of which what
// lives counts and garbage does not, or that of the control group, without the pages of
// files that the kernel takes back by itself. It takes microseconds.
func (g *Gauge) Read() Use {
	heap, group := g.heap(), g.groupUse(time.Now())
	if group.Limit > 0 && float64(group.Bytes)/float64(group.Limit) > float64(heap.Bytes)/float64(heap.Limit) {
		return group
	}
	return heap
}

func (g *Gauge) heap() Use {
	metrics.Read(g.samples)
	of := func(i int) int64 { return int64(min(g.samples[i].Value.Uint64(), math.MaxInt64)) }
	beside := of(total) - of(released) - of(objects) - of(free) - of(unused) // stacks, and what the runtime needs
	return Use{Bytes: of(live) + beside, Limit: of(limitOf), Of: "the limit of the heap"}
}

// groupUse returns the use of the group with the least limit; no limit if there is none.
func (g *Gauge) groupUse(now time.Time) Use {
	if g.found.IsZero() || now.Sub(g.found) >= findAgain {
		g.found = now
		if least, ok := leastGroup(g.root); ok {
			g.group = least
		} else {
			g.group = group{}
		}
	}
	if g.group.limit == 0 {
		return Use{}
	}
	return g.group.use(g.root)
}

// use returns the use of the group.
func (g group) use(root fs.FS) Use {
	current, file, shared := "memory.current", "file", "shmem"
	if g.old {
		current, file, shared = "memory.usage_in_bytes", "total_cache", "total_shmem"
	}
	used, ok := number(root, path.Join(g.dir, current))
	if !ok {
		return Use{}
	}
	stat, _ := fs.ReadFile(root, path.Join(g.dir, "memory.stat"))
	for s := bufio.NewScanner(bytes.NewReader(stat)); s.Scan(); {
		name, text, _ := strings.Cut(s.Text(), " ")
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil:
		case name == file:
			used -= n
		case name == shared: // counted as of files, and cannot be taken back
			used += n
		}
	}
	return Use{Bytes: max(used, 0), Limit: g.limit, Of: "the control group"}
}
