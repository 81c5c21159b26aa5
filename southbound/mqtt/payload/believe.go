package payload

import "time"

// A clock that was never set begins at some year's first second: 1970, 1980 (GPS),
// 2000 and 2001 are usual, and it counts on from there. Nothing that sends by MQTT
// has readings as old as that.
var neverSet = time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)

// ours is before the first release of this program: a gateway whose own clock says
// less was not set either, and cannot tell what is ahead or old.
var ours = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// maxAhead is how far ahead of its arrival a time may be unless the settings say
// otherwise: time zones that are mixed up make half a day.
const maxAhead = 24 * time.Hour

// belief says which times of payloads are believed.
type belief struct {
	age   time.Duration // how old at most; 0 is any
	ahead time.Duration // how far ahead of the arrival at most
}

// believes reports whether a clock that was set can have said t in a message that
// arrived at the time at.
func (b belief) believes(t, at time.Time) bool {
	if t.Before(neverSet) || t.Year() > 2100 {
		return false
	}
	if at.Before(ours) {
		return true
	}
	ahead := t.Sub(at)
	return ahead <= b.ahead && (b.age == 0 || -ahead <= b.age)
}

// Believable reports whether a payload's time is believed where no settings say
// more.
func Believable(t, at time.Time) bool { return belief{ahead: maxAhead}.believes(t, at) }
