// Package service is what a gateway is to the machine that runs it: a service that says
// when it is ready and how it is, whose watchdog is fed as long as its parts move, and
// that notices when it was stopped, put to sleep, or its clock set.
package service

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"fieldbridge/condition"
	"fieldbridge/pulse"
)

const (
	// lookEvery is how often the parts are looked at, where the watchdog does not want
	// to hear of them more often.
	lookEvery = 5 * time.Second
	// statusEvery is how far apart statuses are.
	statusEvery = 5 * time.Second
	// extension is how much more time is asked for while the queue is checked, three
	// times within it.
	extension = 90 * time.Second
	// subject is what the conditions are of.
	subject = "gateway"
)

// Manager is the service manager, as package notify reaches it.
type Manager interface {
	Ready()
	Status(text string)
	Reloading()
	Stopping()
	Extend(d time.Duration)
	// Alive feeds its watchdog, which wants to hear of it each Watchdog, 0 for never.
	Alive()
	Watchdog() time.Duration
}

// nobody is where there is no service manager.
type nobody struct{}

func (nobody) Ready()                  {}
func (nobody) Status(string)           {}
func (nobody) Reloading()              {}
func (nobody) Stopping()               {}
func (nobody) Extend(time.Duration)    {}
func (nobody) Alive()                  {}
func (nobody) Watchdog() time.Duration { return 0 }

// Options are what a [Service] needs.
type Options struct {
	Manager Manager // nil without one
	Log     *slog.Logger
	// Disk returns when the disk of the queue answers: who waits for it does not move
	// either, and a restart would not help.
	Disk func()
}

// Service watches the parts of a gateway. It is safe for concurrent use.
type Service struct {
	o     Options
	Board *pulse.Board // of the parts
	list  condition.List
	now   func() instant

	ready    <-chan struct{} // nil once READY was said
	sentence func() string
	asking   atomic.Bool // the disk is asked whether it answers
	answered atomic.Bool // it has, since somebody was late
	last     struct {
		alive, status, extended time.Time
		text                    string
	}
	begun   atomic.Bool // READY was said
	reloads atomic.Int32
	told    map[string]bool // parts that are told to be late
}

// New returns a service whose parts are still to come.
func New(o Options) *Service {
	if o.Manager == nil {
		o.Manager = nobody{}
	}
	return &Service{o: o, Board: pulse.NewBoard(), now: now, told: make(map[string]bool)}
}

// Health implements [condition.Reporter].
func (s *Service) Health() []condition.Condition { return s.list.Health() }

// Start asks for more time while a gateway starts, which may have much to check, until
// ctx ends. A start that stands still gets none.
func (s *Service) Start(ctx context.Context) {
	tick := time.NewTicker(extension / 3)
	defer tick.Stop()
	for {
		if len(s.Board.Late()) == 0 {
			s.o.Manager.Extend(extension)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Run says that the gateway is ready when that channel is closed, keeps its status to
// what sentence says, and feeds the watchdog, until ctx ends.
func (s *Service) Run(ctx context.Context, ready <-chan struct{}, sentence func() string) {
	s.ready, s.sentence = ready, sentence
	every := lookEvery
	if w := s.o.Manager.Watchdog(); w > 0 {
		every = min(every, w/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	before := s.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ready:
			s.ready = nil
			s.begun.Store(true)
			s.o.Manager.Ready()
			s.o.Log.Debug("ready")
			s.tellStatus(time.Now())
			continue
		case <-tick.C:
		}
		at := s.now()
		lost, told := lapse(before, at, every)
		before = at
		for _, text := range told {
			s.o.Log.Warn(text)
		}
		s.Board.Lapsed(lost)
		s.look(time.Now())
	}
}

// look feeds the watchdog if all parts move.
func (s *Service) look(now time.Time) {
	late := s.Board.Late()
	if s.excused(late) {
		if len(s.told) > 0 {
			clear(s.told)
			s.list.Clear(condition.PartHangs, subject)
			s.o.Log.Info("all parts of the gateway move again")
		}
		if wanted := s.o.Manager.Watchdog(); wanted > 0 && now.Sub(s.last.alive) >= wanted/4 {
			s.last.alive = now
			s.o.Manager.Alive()
		}
	} else {
		s.tellLate(late)
	}
	if s.ready == nil && now.Sub(s.last.status) >= statusEvery {
		s.tellStatus(now)
	}
}

// tellLate tells of each part that is late, once; the worst is the condition.
func (s *Service) tellLate(late []pulse.Late) {
	for _, l := range late {
		if !s.told[l.Name] {
			s.told[l.Name] = true
			s.o.Log.Error("a part of the gateway does not move any more", "part", l.Name, "late", l.By.Round(time.Second))
		}
	}
	s.list.Raise(condition.PartHangs, subject, late[0].Name, late[0].By.Round(time.Second))
}

// excused reports whether nobody is late but for a disk that does not answer. Only who
// waits for the disk can be, and the disk is asked as long as somebody is.
func (s *Service) excused(late []pulse.Late) bool {
	for _, l := range late {
		if !l.Disk {
			return false
		}
	}
	if len(late) == 0 {
		s.answered.Store(false)
		return true
	}
	if s.answered.Load() {
		return false
	}
	if s.o.Disk != nil && s.asking.CompareAndSwap(false, true) {
		go func() {
			s.o.Disk()
			s.answered.Store(true)
			s.asking.Store(false)
		}()
	}
	return s.o.Disk != nil
}

// tellStatus tells how the gateway is, if that is news.
func (s *Service) tellStatus(now time.Time) {
	if s.o.Manager == (nobody{}) {
		return
	}
	s.last.status = now
	if text := cmp.Or(s.sentence(), "running"); text != s.last.text {
		s.last.text = text
		s.o.Manager.Status(text)
	}
}

// Reload has do read the configuration again, and says so. One may be within another.
func (s *Service) Reload(do func()) {
	if s.reloads.Add(1) == 1 && s.begun.Load() {
		s.o.Manager.Reloading()
	}
	do()
	if s.reloads.Add(-1) == 0 && s.begun.Load() {
		s.o.Manager.Ready()
	}
}

// Restarting says that the gateway stops to start again in the same process, which a
// manager must not take for a stop.
func (s *Service) Restarting() {
	s.o.Manager.Reloading()
	s.o.Manager.Status("starting again")
}

// Stopping says that the gateway stops.
func (s *Service) Stopping() {
	s.o.Manager.Stopping()
	s.o.Manager.Status("stopping: what is in memory is written, what is fresh is sent")
}
