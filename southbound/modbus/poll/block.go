package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
)

// block is a block of a plan, or a part of one, and how it did.
type block struct {
	plan.Block

	failed int           // reads in a row that failed
	reason bridge.Reason // why
	again  time.Time     // when to try again, after silence
	told   bool          // it was logged
	took   time.Duration // a read, of late; 0 is not known

	part  *plan.Part // of an inquiry; nil for a block of the plan
	whole *block     // that the inquiry is about
}
