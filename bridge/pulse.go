package bridge

import "time"

// Pulse is told by a loop that it still turns. It costs one store and no memory.
type Pulse interface {
	// Within says that the loop runs now, and will be heard again within d.
	Within(d time.Duration)
	// Rest says that it waits for others, as long as they like.
	Rest()
	// End says that there is no such loop any more.
	End()
}

// Pulses gives a loop its pulse. The name is for people. Nil Pulses tell nobody.
type Pulses func(name string) Pulse

// Of returns the pulse of a loop.
func (p Pulses) Of(name string) Pulse {
	if p == nil {
		return unheard{}
	}
	return p(name)
}

// unheard is the pulse that nobody asks for.
type unheard struct{}

func (unheard) Within(time.Duration) {}
func (unheard) Rest()                {}
func (unheard) End()                 {}

// Passage is told who passes a place where nobody may stay.
type Passage interface {
	// Enter is called by who comes; Leave wants its ticket.
	Enter() (ticket int)
	Leave(ticket int)
}

// turnTime is how long a loop of the bridge may take for one turn, waits for others
// apart: a turn takes milliseconds, on a machine that is busy a few seconds.
const turnTime = time.Minute
