package uplink

import (
	"container/heap"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// fleet is many gateways and an account that takes some CONNECTs per second.
type fleet struct {
	backoffs []Schedule
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
	for i := range f.backoffs {
		heap.Push(f, attemptAt{at: f.backoffs[i].Next(f.config, f.start), gateway: i})
	}
	for len(f.attempts) > 0 {
		a := heap.Pop(f).(attemptAt)
		b, now := &f.backoffs[a.gateway], f.start.Add(a.at)
		b.Begin(now)
		switch {
		case a.at < f.outage:
			b.Failed(&connectError{stage: AtDial, err: syscall.ECONNREFUSED})
		case b.away && !a.drawn: // as Attempt.reach does
			heap.Push(f, attemptAt{a.at + rand.N(f.config.spread()), a.gateway, true})
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
		heap.Push(f, attemptAt{at: a.at + b.Next(f.config, now), gateway: a.gateway})
	}
}

// TestFleetComesBack: 2,000 gateways at an account that takes 500 CONNECTs per
// second (AWS's default).
func TestFleetComesBack(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		gateway Schedule
		outage  time.Duration
		peak    int           // CONNECTs in one second
		refused int           // CONNECTs over the rate
		within  time.Duration // after the outage
	}{
		"a server of AWS goes down":             {Schedule{attempt: 1, lost: true}, 0, 330, 0, 8 * time.Second},
		"their region is away for a minute":     {Schedule{attempt: 1, lost: true}, time.Minute, 330, 0, 10 * time.Second},
		"their region is away for an hour":      {Schedule{attempt: 1, lost: true}, time.Hour, 330, 0, 10 * time.Second},
		"all start within the same millisecond": {Schedule{}, 0, 2000, 4000, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fleet{backoffs: make([]Schedule, 2000), start: now, rate: 500, outage: tt.outage, config: testBackoff}
			f.config.Gateways = 2000
			for i := range f.backoffs {
				f.backoffs[i] = tt.gateway
			}
			f.run()
			peak := 0
			for _, n := range f.connects {
				peak = max(peak, n)
			}
			t.Logf("%d connected %v after the outage, %d CONNECTs refused, at most %d in a second", f.connected, f.last-f.outage,
				f.refused, peak)
			if f.connected != 2000 || f.last-f.outage > tt.within || f.refused > tt.refused || peak > tt.peak {
				t.Errorf("want all within %v, %d refused, at most %d in a second", tt.within, tt.refused, tt.peak)
			}
		})
	}
}
