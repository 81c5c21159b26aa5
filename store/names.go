package store

import (
	"fieldbridge/store/figures"
	"fieldbridge/store/terms"
)

// Config and Status are those of the packages that hold them; they are here as long as
// callers ask for them here.
type (
	Config = terms.Config
	Status = figures.Status
)

// DefaultSegmentSize is how large a segment is if nothing is said.
const DefaultSegmentSize = terms.DefaultSegmentSize
