package gateway

import "time"

// fresh tells whether readings of now are held up: more of them wait than have come within
// the time that they may take, so the oldest is older. It is for one goroutine.
type fresh struct {
	// look returns how many readings of now wait, and how many have ever come.
	look func() (waiting, accepted uint64)
	may  func() time.Duration // how long one may take
	past []accepted           // the first is as old as may, or older
}

// accepted is how many readings had come.
type accepted struct {
	at       time.Time
	readings uint64
}

// holdUp reports whether they are. It needs to have been asked for a while.
func (f *fresh) holdUp() bool {
	now := time.Now()
	waiting, all := f.look()
	f.past = append(f.past, accepted{now, all})
	for len(f.past) > 1 && now.Sub(f.past[1].at) >= f.may() {
		f.past = f.past[1:]
	}
	return now.Sub(f.past[0].at) >= f.may() && waiting > all-f.past[0].readings
}
