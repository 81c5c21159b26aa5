package modbus

import "time"

// BusPlan is what is asked of one bus.
type BusPlan struct {
	Bus  string `json:"bus"`  // its name, or the URL where a device names its own
	Link string `json:"link"` // what it is, for people: "tcp://10.0.0.5:502"
	// Load is the estimated share of the bus's time that the reads take: 0.25
	// is a quarter; above 1 it can't be done.
	Load   float64     `json:"load"`
	Blocks []BlockPlan `json:"blocks"`
}

// BlockPlan is one request that is repeated.
type BlockPlan struct {
	Device  string        `json:"device"`
	UnitID  int           `json:"unit_id"`
	Table   string        `json:"table"`   // coil, discrete, input or holding
	Address int           `json:"address"` // of the first register, zero-based
	Count   int           `json:"count"`   // registers, or bits
	Points  []string      `json:"points"`  // in order of address
	Every   time.Duration `json:"every"`
	// Takes is the estimated time on the bus of one request and its answer.
	Takes time.Duration `json:"takes"`
}

// Plan returns which blocks each bus reads and how often, sorted by bus, device
// and interval. It is pure; cfg must have passed [Config.Validate].
func Plan(cfg Config) []BusPlan { return nil }
