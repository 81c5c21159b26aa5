package attendance

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shelf is a store that counts what a disk would write.
type shelf struct {
	values map[string][]byte
	bytes  int64
	puts   int
}

func (s *shelf) Get(key string) ([]byte, error) { return s.values[key], nil }

func (s *shelf) Put(key string, value []byte) error {
	if len(value) > mostValue {
		return fmt.Errorf("%s has %d bytes", key, len(value))
	}
	s.values[key] = value
	s.bytes += price(value)
	s.puts++
	return nil
}

func newShelf() *shelf { return &shelf{values: make(map[string][]byte)} }

// crowd is n sensors that speak once a minute.
func crowd(n int) []Entry {
	all := make([]Entry, n)
	for i := range all {
		all[i] = Entry{Broker: "local", Rule: "hall", Device: fmt.Sprintf("sensor-%05d", i*7919%100000),
			Topic: fmt.Sprintf("plant/hall-%d/sensor-%05d/temperature", i%13, i*7919%100000),
			From:  fmt.Sprintf("ESP-%06X", i*104729), Rhythm: recalled(100, time.Duration(60+i%7)*time.Second)}
	}
	return all
}

func TestBook(t *testing.T) {
	s, now := newShelf(), time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	all := []Entry{
		{Broker: "local", Rule: "hall", Device: "oven", Topic: "hall/oven", From: "esp-1",
			Points: []string{"temperature", "float64"}, Rhythm: recalled(20, 8*time.Second)},
		{Broker: "site", Rule: "doors", Device: "gate", Silent: 5 * time.Hour},
		{Broker: "local", Rule: "hall", Device: "dead", Silent: time.Hour, Told: true, Heard: now.Add(-30 * time.Hour),
			Rhythm: recalled(20, 60*time.Second)},
		{Broker: "local", Rule: "none", Silent: 3 * time.Hour},
	}
	want := append([]Entry(nil), all...)
	want[0].Heard = now
	want[1].Heard = now.Add(-5 * time.Hour)
	want[3].Heard = now.Add(-3 * time.Hour)
	same := func(why string, got, want []Entry) {
		t.Helper()
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Rhythm{}), cmp.Comparer(time.Time.Equal)); d != "" {
			t.Errorf("%s: %s", why, d)
		}
	}
	b := NewBook(s, now)
	if err := b.Write(all, now, true, false); err != nil {
		t.Fatal(err)
	}
	same("read", NewBook(s, now).Read(), want)

	// Nothing is written before its time, and at a stop all is.
	all[1].Told, all[0].Silent = true, 7*time.Second
	puts := s.puts
	_ = b.Write(all, now.Add(9*time.Minute), true, false)
	if s.puts != puts {
		t.Error("written after nine minutes")
	}
	_ = b.Write(all, now.Add(9*time.Minute), false, true)
	want[0].Silent, want[1].Told = 7*time.Second, true
	want[0].Heard, want[1].Heard, want[3].Heard = time.Time{}, time.Time{}, time.Time{} // the clock was not known
	again := NewBook(s, now)
	same("stopped", again.Read(), want)

	// Fewer are fewer.
	if err := again.Write(nil, now, true, true); err != nil {
		t.Fatal(err)
	}
	same("none", NewBook(s, now).Read(), nil)
}

// Damage costs what is damaged and nothing else, and what was half written is not
// taken for what it is not.
func TestDamagedBook(t *testing.T) {
	now := time.Now()
	s := newShelf()
	b := NewBook(s, now)
	all := crowd(2500)
	all[7].Told, all[7].Silent = true, time.Hour
	_ = b.Write(all, now, true, false)
	if got := NewBook(s, now).Read(); len(got) != 2500 || !got[7].Told {
		t.Fatalf("%d entries", len(got))
	}
	broken := newShelf()
	maps.Copy(broken.values, s.values)
	broken.values[pageKey(1)] = []byte("\x01rubbish")
	if got := NewBook(broken, now).Read(); len(got) != perPage || got[7].Told || !got[7].Heard.IsZero() {
		t.Errorf("%d entries, told %v", len(got), got[7].Told)
	}
}

// Ten thousand sensors cost less than a mebibyte of flash a day, a full purse and the
// day's income, although some fall silent, some come, and all waver. It is two hours'
// worth: by then the purse is long empty.
func TestFlash(t *testing.T) {
	now := time.Now()
	s := newShelf()
	b := NewBook(s, now)
	all := crowd(10000)
	const during = time.Hour
	for minute := 0; minute < int(during.Minutes()); minute += 10 {
		now = now.Add(Every)
		e := &all[minute*37%len(all)]
		e.Told, e.Silent = !e.Told, time.Duration(minute)*time.Second
		e.Rhythm.take(time.Duration(50+minute%40) * time.Second)
		if minute%60 == 0 {
			all = append(all, Entry{Broker: "local", Rule: "hall", Device: fmt.Sprint("new-", minute)})
		}
		if err := b.Write(all, now, true, false); err != nil {
			t.Fatal(err)
		}
	}
	// A stop then writes what it must.
	if most := int64(purse + income*during/(24*time.Hour)); s.bytes > most || s.puts < 5 || purse+income > 1<<20 {
		t.Errorf("%d bytes in %d files", s.bytes, s.puts)
	}
	t.Logf("%d bytes in %d files", s.bytes, s.puts)
	if err := b.Write(all, now, true, true); err != nil {
		t.Fatal(err)
	}
	if got := NewBook(s, now).Read(); len(got) != len(all) {
		t.Errorf("%d of %d are remembered", len(got), len(all))
	}
}

func FuzzPage(f *testing.F) {
	f.Add(pack(crowd(3), true))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		page, err := unpack(data)
		if err != nil {
			return
		}
		again, err := unpack(pack(page, true))
		if err != nil || len(again) != len(page) {
			t.Fatalf("%v: %d entries are %d", err, len(page), len(again))
		}
		readStamp(data, page, 0)
	})
}
