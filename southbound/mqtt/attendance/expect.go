package attendance

import (
	"errors"
	"time"

	"fieldbridge/setting"
)

// Expect is how often a sensor is expected to speak, as people write it: auto, the
// zero Expect, for its own rhythm, a duration, or 0s for nothing at all.
type Expect time.Duration

// Nothing expects no message, ever.
const Nothing Expect = -1

// UnmarshalText reads what people write.
func (e *Expect) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*e = 0
		return nil
	}
	var d setting.Duration
	if err := d.UnmarshalText(text); err != nil {
		return errors.New(err.Error() + ", or auto")
	}
	*e = Expect(d)
	if d == 0 {
		*e = Nothing
	}
	return nil
}

// Within returns the longest pause that somebody asked for, 0 if nobody did.
func (e Expect) Within() time.Duration { return max(0, time.Duration(e)) }

// Auto reports whether the sensor's own rhythm counts.
func (e Expect) Auto() bool { return e == 0 }

func (e Expect) String() string {
	switch {
	case e.Auto():
		return "auto"
	case e < 0:
		return "0s"
	}
	return setting.Duration(e).String()
}
