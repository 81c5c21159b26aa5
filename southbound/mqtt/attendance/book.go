package attendance

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"
)

// Store is where the book lies: small values by key. [bridge.State] is one.
type Store interface {
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
}

// What may be written. In any day of one run it is less than a mebibyte: a full
// purse and what comes into it.
const (
	// Every is how often the book is written at most, but for the stop.
	Every = 10 * time.Minute
	// calm is how often it is written while nothing has changed: only to know later
	// until when the gateway listened.
	calm = 30 * time.Minute
	// purse is what may be spent at once, income what comes a day, in bytes.
	purse, income = 256 << 10, 640 << 10
	// pageSize is the unit of the disk: a value costs its pages, and one of the folder.
	pageSize = 4096
)

// Book writes entries down and reads them back. One goroutine uses it at a time.
type Book struct {
	store   Store
	pages   []uint64 // hashes of what the pages on disk hold
	ages    uint64   // hash of the ages that were written last
	written time.Time
	left    int64     // of the purse
	counted time.Time // up to when income is in it
}

// NewBook returns the book that lies in a store. now is of the monotonic clock.
func NewBook(s Store, now time.Time) *Book {
	return &Book{store: s, left: purse, counted: now}
}

func pageKey(i int) string { return fmt.Sprintf("mqtt.sensors.%d", i) }

const stampKey = "mqtt.heard"

// Read returns what was written last. What is damaged is forgotten.
func (b *Book) Read() []Entry {
	if b.store == nil {
		return nil
	}
	var all []Entry
	b.pages = nil
	for i := range MostEntries / perPage {
		data, err := b.store.Get(pageKey(i))
		if err != nil || len(data) == 0 {
			break
		}
		page, err := unpack(data)
		if err != nil {
			break
		}
		if len(page) == 0 {
			break
		}
		b.pages = append(b.pages, sum(data))
		all = append(all, page...)
	}
	if data, err := b.store.Get(stampKey); err == nil && len(data) > 0 {
		readStamp(data, all, sumAll(b.pages))
	}
	return all
}

// Write writes entries down if it is time, or if the gateway stops. known is that
// the wall clock is right. It waits for the disk.
func (b *Book) Write(all []Entry, now time.Time, known, stop bool) error {
	if b.store == nil || !stop && !b.written.IsZero() && now.Sub(b.written) < Every {
		return nil
	}
	all = all[:min(len(all), MostEntries)]
	pages, ages := packAll(all), packAges(all, stop)
	changed, cost := b.changes(pages)
	if cost == 0 && !stop && b.ages == sum(ages) && now.Sub(b.written) < calm {
		return nil
	}
	sums := make([]uint64, len(pages))
	for i := range pages {
		sums[i] = sum(pages[i])
	}
	stamp := packStamp(ages, now, known, sumAll(sums))
	// A stop writes what it must: who starts then knows all.
	if cost += price(stamp); !b.spend(cost, now) && !stop {
		return nil
	}
	b.written = now
	for _, i := range changed {
		var data []byte // none ends the list
		if i < len(pages) {
			data = pages[i]
		}
		if err := b.store.Put(pageKey(i), data); err != nil {
			return err
		}
	}
	b.pages, b.ages = sums, sum(ages)
	return b.store.Put(stampKey, stamp)
}

// changes returns which pages are not on disk as they are, and what they cost.
func (b *Book) changes(pages [][]byte) (changed []int, cost int64) {
	for i := range max(len(pages), len(b.pages)) {
		switch {
		case i >= len(pages):
			changed, cost = append(changed, i), cost+price(nil)
		case i >= len(b.pages) || b.pages[i] != sum(pages[i]):
			changed, cost = append(changed, i), cost+price(pages[i])
		}
	}
	return changed, cost
}

// spend takes a cost out of the purse, if it is in there. What costs more than the
// purse holds waits until it is full.
func (b *Book) spend(cost int64, now time.Time) bool {
	b.left = min(purse, b.left+int64(float64(income)*now.Sub(b.counted).Hours()/24))
	b.counted = now
	if cost > b.left && b.left < purse {
		return false
	}
	b.left -= cost
	return true
}

// price is what a value costs, in bytes.
func price(value []byte) int64 { return int64(len(value)+2*pageSize-1) / pageSize * pageSize }

// packAll makes pages. Where topics are too much, they are left out: they only help
// to say why.
func packAll(all []Entry) (pages [][]byte) {
	for len(all) > 0 {
		n := min(len(all), perPage)
		data := pack(all[:n], true)
		if len(data) > mostValue {
			data = pack(all[:n], false)
		}
		for len(data) > mostValue && n > 1 {
			n /= 2
			data = pack(all[:n], false)
		}
		pages = append(pages, data)
		all = all[n:]
	}
	return pages
}

// mostValue is the largest value that a store takes.
const mostValue = 64 << 10

// packAges writes how long each was silent, of those that are well only at a stop: a
// gateway that is killed takes it that they have just been heard.
func packAges(all []Entry, stop bool) []byte {
	var b []byte
	for i := range all {
		e := &all[i]
		_, rhythmic := e.Rhythm.Longest()
		if !stop && !e.Told && rhythmic && e.Device != "" {
			b = append(b, 0)
			continue
		}
		v := uint64(max(0, e.Silent/time.Second))<<2 | 1
		if e.Told {
			v |= 2
		}
		b = binary.AppendUvarint(b, v)
		heard := uint64(0)
		if e.Told && !e.Heard.IsZero() {
			heard = uint64(max(0, e.Heard.Unix()))
		}
		b = binary.AppendUvarint(b, heard)
	}
	return b
}

// packStamp writes when that was, for which pages.
func packStamp(ages []byte, now time.Time, known bool, pages uint64) []byte {
	var out bytes.Buffer
	out.WriteByte(version)
	w, _ := flate.NewWriter(&out, flate.DefaultCompression)
	b := binary.LittleEndian.AppendUint64(nil, pages)
	at := uint64(0)
	if known {
		at = uint64(max(0, now.Unix()))
	}
	_, _ = w.Write(append(binary.AppendUvarint(b, at), ages...))
	_ = w.Close()
	return out.Bytes()
}

// readStamp fills in when the entries were heard, if it was written for them.
func readStamp(data []byte, all []Entry, pages uint64) {
	r, err := open(data)
	if err != nil || len(r.rest) < 8 {
		return
	}
	if binary.LittleEndian.Uint64(r.rest) != pages {
		return
	}
	r.rest = r.rest[8:]
	at := r.number(1 << 40)
	for i := range all {
		e := &all[i]
		v := r.number(1 << 50)
		if r.bad {
			return
		}
		if v == 0 {
			e.Heard = moment(at)
			continue
		}
		e.Silent, e.Told = time.Duration(v>>2)*time.Second, v&2 != 0
		if heard := r.number(1 << 40); heard != 0 {
			e.Heard = moment(heard)
		} else if at != 0 {
			e.Heard = moment(at).Add(-e.Silent)
		}
	}
}

// moment returns a time of the wall clock; 0 is none.
func moment(unix uint64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(int64(unix), 0)
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}

func sumAll(pages []uint64) uint64 {
	var b []byte
	for _, p := range pages {
		b = binary.LittleEndian.AppendUint64(b, p)
	}
	return sum(b)
}
