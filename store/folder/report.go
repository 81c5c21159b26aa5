package folder

import (
	"math"
	"path/filepath"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/origins"
)

// SegmentInfo is a segment, for people.
type SegmentInfo struct {
	File    string          `json:"file"`
	First   bridge.Position `json:"first"` // positions
	Last    bridge.Position `json:"last"`
	Written bridge.Count    `json:"written"`
	Waiting bridge.Count    `json:"waiting"`
	Bytes   int64           `json:"bytes"` // on disk
	Oldest  time.Time       `json:"oldest"`
	Newest  time.Time       `json:"newest"`
	Age     time.Duration   `json:"age_ns"` // of its newest block, in run time
	Damage  string          `json:"damage,omitempty"`
	Thinned int             `json:"thinned,omitempty"` // to which of the spans; 0: it has all detail
	// Gateways are those that measured what is in it, if that is known.
	Gateways []string `json:"gateways,omitempty"`
}

// Report is what an inspection finds.
// Its JSON is what queue inspect --json prints, and so for programs as well.
type Report struct {
	Dir      string        `json:"dir"`
	Segments []SegmentInfo `json:"segments"`
	// Gateways are those whose runs are in the folder, the oldest first, if that is known.
	Gateways []string     `json:"gateways,omitempty"`
	Waiting  bridge.Count `json:"waiting"`
	// Journal are those of the waiting that a kill has left in shared memory alone: the
	// next start puts them on disk, a power cut takes them. Of a stopped gateway.
	Journal bridge.Count `json:"journal,omitzero"`
	// JournalUnread is why what may be there cannot be read.
	JournalUnread   string             `json:"journal_unread,omitempty"`
	Dead            bridge.Count       `json:"dead"`
	Bytes           int64              `json:"bytes"` // of everything in the folder
	MaxSize         int64              `json:"max_size"`
	BytesPerReading float64            `json:"bytes_per_reading"`
	Tombstones      []bridge.Tombstone `json:"tombstones"` // not yet acknowledged
	Runs            []bridge.RunRecord `json:"runs"`       // not yet acknowledged
	// FullIn is when max_size is reached at the rate of the segments on disk; 0
	// if that cannot be said.
	FullIn time.Duration `json:"full_in_ns,omitempty"`
}

// Whose returns who measured what waits, the oldest first, as far as that is known.
func (r *Report) Whose() (names []string) {
	add := func(gateways ...string) {
		for _, name := range gateways {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	left := r.Waiting.Batches
	for _, s := range r.Segments {
		if s.Waiting.Batches > 0 {
			add(s.Gateways...)
			left -= min(left, s.Waiting.Batches)
		}
	}
	if n := len(r.Gateways); left > 0 && n > 0 {
		add(r.Gateways[n-1]) // what is in memory is of who measures now
	}
	return names
}

// Fill adds what the segments and the index say.
func (r *Report) Fill(segments []*Stored, m *books.Index, uptime int64, whose *origins.Book) {
	var written bridge.Count
	var bytes int64
	for _, s := range segments {
		info := SegmentInfo{File: filepath.Base(s.Path), First: s.First, Last: s.Last, Written: s.Written,
			Waiting: s.Waiting(),
			Thinned: s.Thinned,
			Bytes:   s.Bytes, Oldest: time.UnixMilli(s.Oldest).UTC(), Newest: time.UnixMilli(s.Newest).UTC(),
			Age: time.Duration(uptime-s.Uptime) * time.Millisecond}
		info.Gateways = whose.Of(m.Runs, s.First, s.Last)
		if s.Suspect != nil {
			info.Damage = s.Suspect.Error()
		}
		written = written.Add(s.Written)
		bytes += s.Bytes
		r.Segments = append(r.Segments, info)
	}
	if written.Readings > 0 {
		r.BytesPerReading = float64(bytes) / float64(written.Readings)
	}
	if n := len(r.Segments); n > 0 {
		r.FullIn = FullIn(r.Segments[n-1].Newest.Sub(r.Segments[0].Oldest), bytes, r.MaxSize-r.Bytes)
	}
	for i := range m.Tombstones {
		r.Tombstones = append(r.Tombstones, m.Tombstones[i].Tombstone())
	}
	r.Gateways = whose.Of(m.Runs, 1, block.MaxPosition)
	r.Tombstones = whose.Stones(r.Tombstones)
	r.Runs = whose.Records(m.Runs.Untold())
}

// FullIn returns how long it takes to write left bytes when it took span to
// write bytes of them; 0 if that cannot be said.
// It is a straight line through what was written: a rough figure for people, not a
// limit to act on.
func FullIn(span time.Duration, bytes, left int64) time.Duration {
	// Before, the pages that every file has make most of it.
	const least, leastBytes = time.Minute, 512 << 10
	if span < least || bytes < leastBytes || left <= 0 {
		return 0
	}
	full := float64(span) * float64(left) / float64(bytes)
	return time.Duration(min(full, float64(math.MaxInt64/2))).Round(time.Second)
}
