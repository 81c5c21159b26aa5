package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// block is a block of a plan, or a part of one, and how it did.
type block struct {
	plan.Block

	failed int           // reads in a row that failed
	reason bridge.Reason // why
	again  time.Time     // when to try again, after silence
	told   bool          // it was logged
	took   time.Duration // a read, of late; 0 is not known

	texts []string // that its fields of strings had last, in their order

	part  *plan.Part // of an inquiry; nil for a block of the plan
	whole *block     // that the inquiry is about
}

// lastTexts returns the strings that the fields of b had last, one for each field
// of a string: one that stays costs no memory.
func (b *block) lastTexts() []string {
	if b.texts == nil {
		n := 0
		for i := range b.Fields {
			if b.Fields[i].Kind == point.KindString {
				n++
			}
		}
		b.texts = make([]string, n)
	}
	return b.texts
}
