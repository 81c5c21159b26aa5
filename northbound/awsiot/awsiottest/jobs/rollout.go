package jobs

import (
	"slices"
	"time"
)

// begin starts the rollout of a job that was scheduled.
func (s *Service) begin(j *Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.Status == Scheduled {
		j.Status, j.Updated = InProgress, time.Now()
		s.rollLocked(j)
	}
}

// end is a job's end time.
func (s *Service) end(j *Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.Status != InProgress && j.Status != Scheduled {
		return
	}
	j.stop()
	if j.EndBehavior == "STOP_ROLLOUT" {
		j.waiting, j.Continuous = nil, false
		s.settleLocked(j)
		return
	}
	s.cancelLocked(j, "END_TIME_REACHED", "", j.EndBehavior == "FORCE_CANCEL")
}

// rollLocked hands out a minute's executions, and comes again after a minute while
// things wait.
func (s *Service) rollLocked(j *Job) {
	if j.Status != InProgress {
		return
	}
	now := time.Now()
	if !now.Before(j.minute.Add(time.Minute)) {
		j.minute, j.given = now, 0
	}
	if j.open(now) {
		for _, thing := range j.portion(s.countLocked(j.ID)[Succeeded]) {
			e := &Execution{JobID: j.ID, Thing: thing, Number: 1, QueuedAt: time.Now(), job: j}
			s.executions[thing] = append(s.executions[thing], e)
			j.Notified++
			s.turnLocked(e, Queued)
		}
	}
	s.settleLocked(j)
	if len(j.waiting) > 0 {
		j.stop()
		j.ticker = time.AfterFunc(time.Until(j.minute.Add(time.Minute)), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rollLocked(j)
		})
	}
}

// portion takes the things of this minute out of those that wait.
func (j *Job) portion(succeeded int) []string {
	most := j.Rollout.PerMinute
	if most == 0 {
		most = mostPerMinute
	}
	if j.Rollout.Base > 0 {
		j.grow(succeeded)
		most = min(most, int(j.rate))
	}
	n := max(0, min(most-j.given, len(j.waiting)))
	now := j.waiting[:n:n]
	j.waiting, j.given = j.waiting[n:], j.given+n
	return now
}

// grow raises the rate when enough more things are notified, or have succeeded.
func (j *Job) grow(succeeded int) {
	r := j.Rollout
	if j.rate == 0 {
		j.rate = float64(r.Base)
	}
	have, each := j.Notified, r.Notified
	if r.Succeeded > 0 {
		have, each = succeeded, r.Succeeded
	}
	for have >= j.step+each {
		j.step += each
		j.rate = min(j.rate*r.Factor, mostPerMinute)
	}
}

// open reports whether a time is in one of the job's windows.
func (j *Job) open(now time.Time) bool {
	if len(j.Windows) == 0 {
		return true
	}
	return slices.ContainsFunc(j.Windows, func(w Window) bool {
		c, err := parseCron(w.Start)
		if err != nil {
			return false // it was checked when the job was created
		}
		for back := range w.Minutes {
			if c.matches(now.UTC().Add(-time.Duration(back) * time.Minute)) {
				return true
			}
		}
		return false
	})
}

// countLocked counts the executions of a job by their states.
func (s *Service) countLocked(id string) map[Status]int {
	counts := map[Status]int{}
	for _, list := range s.executions {
		for _, e := range list {
			if e.JobID == id {
				counts[e.Status]++
			}
		}
	}
	return counts
}

// Counts returns how many executions of a job are in each state.
func (s *Service) Counts(id string) map[Status]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.countLocked(id)
}

// settleLocked looks whether a job is to be aborted, or is done.
func (s *Service) settleLocked(j *Job) {
	if j.Status != InProgress {
		return
	}
	counts := s.countLocked(j.ID)
	ended := 0
	for status, n := range counts {
		if status.terminal() {
			ended += n
		}
	}
	for _, a := range j.Abort {
		bad := counts[Status(a.Failure)]
		if a.Failure == "ALL" {
			bad = counts[Failed] + counts[Rejected] + counts[TimedOut]
		}
		if ended >= a.Least && float64(bad)*100 >= a.Threshold*float64(ended) {
			s.cancelLocked(j, "ABORT_CRITERIA_MET", "", false)
			return
		}
	}
	if len(j.waiting) == 0 && counts[Queued]+counts[InProgress] == 0 && !j.Continuous {
		j.Status, j.Updated = Completed, time.Now()
		j.Completed = j.Updated
	}
}

// refresh gives continuous jobs to the things that have joined their groups.
func (s *Service) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if !j.Continuous || j.Status != InProgress {
			continue
		}
		for _, g := range j.Groups {
			group, _ := s.registry.Group(g)
			for _, thing := range group.Things {
				if s.findLocked(thing, j.ID) == nil && !slices.Contains(j.waiting, thing) {
					j.waiting = append(j.waiting, thing)
				}
			}
		}
		s.rollLocked(j)
	}
}
