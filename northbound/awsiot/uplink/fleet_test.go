package uplink

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"
)

// fleet is many gateways and an account that takes some CONNECTs per second.
type fleet struct {
	backoffs []Schedule
	names    []string
	start    time.Time
	outage   time.Duration // until when nobody can be reached
	config   Backoff
	rate     float64 // CONNECTs per second that are taken
	tokens   float64
	filled   time.Duration

	attempts  []attemptAt   // to come, the first on top
	connects  map[int]int   // by second
	refused   int           // CONNECTs over the rate
	connected int           // gateways
	last      time.Duration // when the last one was connected
}

type attemptAt struct {
	at      time.Duration
	gateway int
	drawn   bool // its part of the spread has passed
}

func (f *fleet) Len() int           { return len(f.attempts) }
func (f *fleet) Less(i, j int) bool { return f.attempts[i].at < f.attempts[j].at }
func (f *fleet) Swap(i, j int)      { f.attempts[i], f.attempts[j] = f.attempts[j], f.attempts[i] }
func (f *fleet) Push(x any)         { f.attempts = append(f.attempts, x.(attemptAt)) }
func (f *fleet) Pop() any {
	last := f.attempts[len(f.attempts)-1]
	f.attempts = f.attempts[:len(f.attempts)-1]
	return last
}

// run lets all connect, from time 0 on.
func (f *fleet) run() {
	f.connects = make(map[int]int)
	f.tokens = f.rate
	away := &connectError{stage: AtDial, err: syscall.ECONNREFUSED}
	for i := range f.backoffs {
		b := &f.backoffs[i]
		at := b.Next(f.config, f.names[i], f.start)
		for at < f.outage { // until then nobody is in another's way
			now := f.start.Add(at)
			b.Begin(now)
			b.Failed(away)
			at += b.Next(f.config, f.names[i], now)
		}
		heap.Push(f, attemptAt{at: at, gateway: i})
	}
	for len(f.attempts) > 0 {
		a := heap.Pop(f).(attemptAt)
		b, now := &f.backoffs[a.gateway], f.start.Add(a.at)
		b.Begin(now)
		switch {
		case b.away && !a.drawn: // as Attempt.reach does
			heap.Push(f, attemptAt{a.at + f.config.slot(f.names[a.gateway], now), a.gateway, true})
			continue
		default:
			b.last = now
			f.connects[int(a.at/time.Second)]++
			f.tokens = min(f.rate, f.tokens+f.rate*(a.at-f.filled).Seconds())
			f.filled = a.at
			if f.tokens >= 1 {
				f.tokens--
				f.connected++
				f.last = a.at
				continue
			}
			f.refused++
			b.Failed(&connectError{stage: AtConnect, err: &connackError{code: 0x97}})
		}
		heap.Push(f, attemptAt{at: a.at + b.Next(f.config, f.names[a.gateway], now), gateway: a.gateway})
	}
}

// TestFleetComesBack: a fleet at an account that takes 500 CONNECTs per second (AWS's
// default).
func TestFleetComesBack(t *testing.T) {
	const two, ten = 2_000, 10_000
	numbered := func(i int) string { return fmt.Sprintf("press-%d", i) }
	sites := func(i int) string { return fmt.Sprintf("site-%d-line-%d", i/50, i%50+1) }
	tens := func(i int) string { return fmt.Sprintf("%05d-gateway", 10*i) }
	chance := func(i int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)})) }
	lost := Schedule{attempt: 1, lost: true}
	for what, tt := range map[string]struct {
		gateways int
		name     func(gateway int) string
		gateway  Schedule
		outage   time.Duration
		peak     int           // CONNECTs in one second; of names without numbers six deviations above the mean
		refused  int           // CONNECTs over the rate
		within   time.Duration // after the outage
	}{
		"a server of AWS goes down":             {two, numbered, lost, 0, 249, 0, 9 * time.Second},
		"... and names have no numbers":         {two, chance, lost, 0, 330, 0, 9 * time.Second},
		"... of ten thousand":                   {ten, numbered, lost, 0, 249, 0, 45 * time.Second},
		"... of 200 sites":                      {ten, sites, lost, 0, 265, 0, 45 * time.Second},
		"... of ten thousand without numbers":   {ten, chance, lost, 0, 330, 0, 45 * time.Second},
		"their region is away for a minute":     {two, numbered, lost, time.Minute, 249, 0, 11 * time.Second},
		"... of ten thousand, numbered in tens": {ten, tens, lost, 5 * time.Second, 249, 0, 45 * time.Second},
		"their region is away for five minutes": {two, sites, lost, 5 * time.Minute, 265, 0, 11 * time.Second},
		"all start within the same millisecond": {two, numbered, Schedule{}, 0, 2000, 4000, 15 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			f := &fleet{backoffs: slices.Repeat([]Schedule{tt.gateway}, tt.gateways), start: time.Now(),
				rate: 500, outage: tt.outage, config: testBackoff}
			f.config.Gateways = tt.gateways
			for i := range tt.gateways {
				f.names = append(f.names, tt.name(i))
			}
			f.run()
			peak := 0
			for _, n := range f.connects {
				peak = max(peak, n)
			}
			t.Logf("%d connected %v after the outage, %d CONNECTs refused, at most %d in a second", f.connected, f.last-f.outage,
				f.refused, peak)
			if f.connected != tt.gateways || f.last-f.outage > tt.within || f.refused > tt.refused || peak > tt.peak {
				t.Errorf("want all within %v, %d refused, at most %d in a second", tt.within, tt.refused, tt.peak)
			}
		})
	}
}

// FuzzPlace: any name has a moment within the spread, and keeps it.
func FuzzPlace(f *testing.F) {
	for _, name := range []string{"", "7", "press-2", "press-02", "é-99999999999999999999999-x"} {
		f.Add(name, int64(1_800_000_000_123_456_789))
	}
	f.Fuzz(func(t *testing.T, name string, now int64) {
		at := time.Unix(0, now%math.MaxInt32*int64(time.Second))
		wait := testBackoff.slot(name, at)
		if wait < 0 || wait >= testBackoff.spread() {
			t.Errorf("%q waits %v of %v", name, wait, testBackoff.spread())
		}
		if again := testBackoff.slot(name, at.Add(wait)); name != "" && again != 0 {
			t.Errorf("%q has another moment, %v later", name, again)
		}
	})
}
