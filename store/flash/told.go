package flash

import "time"

// Told is what was told of commits that are held back. The zero Told is nothing.
type Told struct {
	late int64         // when one was last held back; ns since the start of the run, or 0
	pace time.Duration // how far apart they were told to be
	news time.Duration // how far apart they are to be told to be
}

// quiet is how long after the last one that was held back it is told, at the least.
const quiet = time.Minute

// Note takes note, at now, of whether a commit is held back, and how far apart they are.
func (t *Told) Note(now int64, held bool, pace time.Duration) {
	if held {
		t.late, t.news = now, pace
	}
}

// News returns what is new to be told: how far apart commits are, or, with 0, that none
// is held back any more.
func (t *Told) News(now int64) (pace time.Duration, news bool) {
	switch {
	case t.late == now && t.news > t.pace:
		t.pace = Rounded(t.news)
		return t.pace, true
	case t.late != 0 && now >= t.CalmsAt():
		*t = Told{}
		return 0, true
	}
	return 0, false
}

// CalmsAt returns when it is no longer told that commits are held back, 0 if it is not.
func (t *Told) CalmsAt() int64 {
	if t.late == 0 {
		return 0
	}
	return t.late + int64(max(2*t.pace, quiet))
}
