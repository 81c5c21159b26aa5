// Package space is what the keeper of a queue knows of the room on its disk: whether
// there is less than min_free, quotas that no figure shows, and what dropped segments
// gave back.
package space

import (
	"time"

	"fieldbridge/store/disk"
)

const (
	// askEvery is how often the file system is asked at most.
	askEvery = time.Second
	// A disk that says that it is full, and has room by its figures, has a quota: that is
	// believed after so many tries in a row, over so long. A moment without room, as other
	// programs make, drops nothing.
	quotaTries = 3
	quotaAfter = 2 * time.Second
)

// Space is the room on the disk of a queue. The zero Space has room. It is for one
// goroutine.
type Space struct {
	tight   bool  // the file system has less than min_free, or no space at all
	quota   bool  // the file system has room, and takes no more
	noSpace int   // writes in a row that failed for want of space
	failed  int64 // when the first of them did; ns since the start of the run
	asked   int64 // when tight was found; ns since the start of the run
	least   int64 // bytes that are left for others
	free    int64 // bytes, when it was last asked
	credit  int64 // bytes that dropped segments gave, to be written while it is tight
}

// Ask finds out whether the file system of dir has enough left at a moment: least
// bytes, and what a segment grows by, grow.
func (s *Space) Ask(dir string, now, least, grow int64) {
	if s.asked != 0 && now-s.asked < int64(askEvery) {
		return
	}
	s.asked, s.least = now, least
	free, err := disk.Free(dir)
	if err != nil {
		return // a write will tell
	}
	s.free = free
	full := free < least || s.noSpace > 0 && free < grow
	s.quota = !full && s.noSpace >= quotaTries && now-s.failed >= int64(quotaAfter)
	tight := full || s.quota
	if tight && !s.tight || !tight {
		s.credit = 0
	}
	s.tight = tight
}

// Tight reports whether there was too little when it was last asked.
func (s *Space) Tight() bool { return s.tight }

// Near reports whether less than n bytes were left to be written when it was last asked.
func (s *Space) Near(n int64) bool { return s.asked != 0 && s.free-s.least < n }

// Full says why a queue in dir takes no more, as the begin of a sentence, and what to
// do about it.
func (s *Space) Full(dir string) (why, advice string) {
	switch {
	case s.quota:
		return disk.OverQuota(dir)
	case s.tight:
		if s.noSpace > 0 { // others may have what is left for them
			return disk.Full(dir, 0)
		}
		return disk.Full(dir, s.least)
	}
	return "the queue is full and", "restore the uplink, or raise store.max_size"
}

// Allows reports whether n bytes may be written.
func (s *Space) Allows(n int64) bool { return !s.tight || s.credit >= n }

// Gave takes note of what a dropped segment gave back, in bytes.
func (s *Space) Gave(n int64) {
	if s.tight {
		s.credit += n
	}
}

// Wrote takes note of what was written, in bytes.
func (s *Space) Wrote(n int64) {
	if s.tight {
		s.credit = max(0, s.credit-n)
	}
}

// Succeeded takes note that writing went well.
func (s *Space) Succeeded() { s.noSpace = 0 }

// Failed takes note of what a failed write says about the disk, and when.
func (s *Space) Failed(err error, now int64) {
	if disk.NoRoom(err) {
		if s.noSpace == 0 {
			s.failed = now
		}
		s.noSpace++
		s.asked = 0 // ask again
	}
}
