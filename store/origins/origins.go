// Package origins keeps who measured what lies in the folder of a queue: the name of the
// gateway and its labels, for each run, and from a seq on where they changed within one.
//
// A folder moves: a gateway is renamed, a card is copied, a backup is restored. What lies in
// it stays what its own gateway measured, whoever sends it. It is a file of its own since
// neither a lost index nor a lost segment may take it, and since a release that does not
// know it leaves it as it is.
package origins

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
)

// File is the name of the record in a queue's folder.
const File = "origins"

// format is the version of the record.
const format = 1

// mostEras bounds the record: a gateway may start and die for weeks without an uplink.
// Beyond, the oldest go, and what is left of them is taken for the next one's.
const mostEras = 2000

// era is a part of a run with one origin: from a seq on, to the next era of that run.
type era struct {
	Run    string `json:"run"`
	From   uint64 `json:"from,omitempty"` // seq; 0 for all of the run
	Origin int    `json:"origin"`         // its index
}

// saved is the record as it is written.
type saved struct {
	Format  int              `json:"format"`
	Origins []*bridge.Origin `json:"origins"`
	Eras    []era            `json:"runs"`
}

// Book knows who measured what. It is safe for concurrent use; its lock is held over no I/O
// and nothing is called under it.
type Book struct {
	mu      sync.Mutex // guards all below
	origins []*bridge.Origin
	eras    []era          // in the order of their begin
	now     *bridge.Origin // of what is measured now, nil if nobody has said so
	due     bool           // to be written
	wrong   bool           // the record on disk, if there is one, would tell what is measured now wrongly
}

// Open reads the record of a folder. Without one the book is empty. So it is with an error:
// then the record is damaged, or of a newer release, and is to be set aside.
func Open(dir string) (*Book, error) {
	b := new(Book)
	data, err := os.ReadFile(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	var s saved
	value, ok := disk.Unframe(data)
	if !ok {
		return b, errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return b, err
	}
	if s.Format != format {
		return b, fmt.Errorf("its format is version %d, this program knows %d", s.Format, format)
	}
	if slices.Contains(s.Origins, nil) ||
		slices.ContainsFunc(s.Eras, func(e era) bool { return e.Origin < 0 || e.Origin >= len(s.Origins) }) {
		return b, errors.New("it makes no sense")
	}
	b.origins, b.eras = s.Origins, s.Eras
	if n := len(b.eras); n > 0 {
		b.now = b.origins[b.eras[n-1].Origin]
	}
	return b, nil
}

// Begin takes note of a run that o begins to measure in; a name that is empty stands for who
// measured last. The runs before it in the folder that the book does not know are of who
// measured before them: a release that keeps no such record began them, or a disk was full.
// With only, nothing in the folder is of any other run: they are forgotten.
func (b *Book) Begin(m *books.Index, only bool, run string, o bridge.Origin) {
	var before []string
	for i := range m.Runs {
		before = append(before, m.Runs[i].Run)
	}
	for i := range m.Tombstones {
		before = append(before, m.Tombstones[i].Run)
	}
	before = slices.DeleteFunc(before, func(r string) bool { return r == run })
	b.mu.Lock()
	defer b.mu.Unlock()
	if only {
		b.eras = slices.DeleteFunc(b.eras, func(e era) bool { return !slices.Contains(before, e.Run) })
	}
	recorded := b.now
	if o.Gateway != "" {
		b.now = b.intern(o)
	}
	if b.now == nil {
		return
	}
	last := recorded
	if last == nil {
		last = b.now
	}
	for _, r := range before {
		if known := b.ofLocked(r, 0); known != nil {
			last = known
		} else {
			b.add(era{Run: r}, last)
		}
	}
	b.add(era{Run: run}, b.now)
	b.due, b.wrong = true, recorded != nil && recorded != b.now
}

// Change takes note that from a seq of a run on it is o that measures, under other labels.
func (b *Book) Change(run string, seq uint64, o bridge.Origin) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.Gateway == "" {
		return
	}
	if next := b.intern(o); next != b.now {
		b.now = next
		b.markLocked(run, seq, next)
	}
}

// Renumber takes note that n batches got new numbers, those of a run from a seq on. was
// returns the run and the seq that each had. What follows is by who measures now.
func (b *Book) Renumber(run string, seq uint64, n int, was func(i int) (string, uint64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		o := b.ofLocked(was(i))
		b.markLocked(run, seq+uint64(i), cmp.Or(o, b.now))
	}
	b.markLocked(run, seq+uint64(n), b.now)
}

func (b *Book) markLocked(run string, seq uint64, o *bridge.Origin) {
	if o != nil && b.ofLocked(run, seq) != o {
		b.add(era{Run: run, From: seq}, o)
		b.due, b.wrong = true, true
	}
}

// add appends an era of o.
func (b *Book) add(e era, o *bridge.Origin) {
	e.Origin = slices.Index(b.origins, o)
	b.eras = append(b.eras, e)
	if more := len(b.eras) - mostEras; more > 0 {
		b.eras = slices.Delete(b.eras, 0, more)
	}
}

// intern returns the one origin of the book that is as o.
func (b *Book) intern(o bridge.Origin) *bridge.Origin {
	i := slices.IndexFunc(b.origins, func(x *bridge.Origin) bool {
		return x.Gateway == o.Gateway && maps.Equal(x.Labels, o.Labels)
	})
	if i >= 0 {
		return b.origins[i]
	}
	b.origins = append(b.origins, &bridge.Origin{Gateway: o.Gateway, Labels: maps.Clone(o.Labels)})
	return b.origins[len(b.origins)-1]
}

// ofLocked returns who measured a batch, nil if that is not known. The newest eras are asked
// first.
func (b *Book) ofLocked(run string, seq uint64) *bridge.Origin {
	for i := len(b.eras) - 1; i >= 0; i-- {
		if e := &b.eras[i]; e.Run == run && e.From <= seq {
			return b.origins[e.Origin]
		}
	}
	return nil
}

// Origin returns who measured a batch, nil if that is not known.
func (b *Book) Origin(run string, seq uint64) *bridge.Origin {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ofLocked(run, seq)
}

// Sign writes on entries who measured them.
func (b *Book) Sign(entries []bridge.Entry) []bridge.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		e.Origin = b.ofLocked(e.Run, e.Seq)
	}
	return entries
}

// Other returns the name of the gateway whose run it is, "" if that is the one that measures
// now, or is not known.
func (b *Book) Other(run string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.ofLocked(run, 0); o != nil && b.now != nil && o.Gateway != b.now.Gateway {
		return o.Gateway
	}
	return ""
}

// Records writes on run records whose runs they are.
func (b *Book) Records(all []bridge.RunRecord) []bridge.RunRecord {
	for i := range all {
		all[i].Gateway, all[i].PreviousGateway = b.Other(all[i].Run), b.Other(all[i].Previous)
	}
	return all
}

// Stones writes on tombstones whose runs they are of.
func (b *Book) Stones(all []bridge.Tombstone) []bridge.Tombstone {
	for i := range all {
		all[i].Gateway = b.Other(all[i].Run)
	}
	return all
}

// Waiting returns how many batches wait that other gateways measured, and whose the oldest
// are. What is done is given, and the runs in their order.
func (b *Book) Waiting(runs books.Runs, done books.Spans) (n uint64, name string) {
	for i := range runs[:max(len(runs), 1)-1] {
		other := b.Other(runs[i].Run)
		if other == "" {
			continue
		}
		for _, gap := range done.Missing(runs[i].Base+1, runs[i+1].Base+1) {
			n, name = n+uint64(gap.To-gap.From), cmp.Or(name, other)
		}
	}
	return n, name
}

// Of returns the names of the gateways that measured what lies at the positions first to
// last, the oldest first.
func (b *Book) Of(runs books.Runs, first, last bridge.Position) (names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range runs {
		if runs[i].Base >= last || i+1 < len(runs) && runs[i+1].Base < first {
			continue
		}
		if o := b.ofLocked(runs[i].Run, 0); o != nil && !slices.Contains(names, o.Gateway) {
			names = append(names, o.Gateway)
		}
	}
	return names
}

// Owe has the record written again.
func (b *Book) Owe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = len(b.eras) > 0
}

// Write writes the record into a folder if it is due, and returns the bytes written. wait
// is why nothing may be made durable before another try: what is measured now would be taken
// for another's. Any other failure is only tried again: it costs no truth.
func (b *Book) Write(dir string) (n int, wait error) {
	b.mu.Lock()
	if !b.due {
		b.mu.Unlock()
		return 0, nil
	}
	b.tidyLocked()
	s, wrong := saved{format, slices.Clone(b.origins), slices.Clone(b.eras)}, b.wrong
	b.due, b.wrong = false, false
	b.mu.Unlock()
	value, err := json.Marshal(&s)
	if err == nil {
		data := disk.Frame(value)
		n, err = len(data), disk.Replace(filepath.Join(dir, File), data)
	}
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due, b.wrong = true, b.wrong || wrong
	if wrong {
		return 0, fmt.Errorf("write who measured what: %w", err)
	}
	return 0, nil
}

// tidyLocked forgets the origins of which nothing is left.
func (b *Book) tidyLocked() {
	used := make([]*bridge.Origin, len(b.eras))
	for i, e := range b.eras {
		used[i] = b.origins[e.Origin]
	}
	b.origins = slices.DeleteFunc(b.origins, func(o *bridge.Origin) bool {
		return o != b.now && !slices.Contains(used, o)
	})
	for i, o := range used {
		b.eras[i].Origin = slices.Index(b.origins, o)
	}
}
