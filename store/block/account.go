package block

import "fieldbridge/bridge"

// MaxPosition is beyond any position.
const MaxPosition = bridge.Position(1) << 63

// Account is what is known of blocks that follow one another in a file, without
// reading them.
type Account struct {
	First   bridge.Position `json:"first"` // no batch is before
	Last    bridge.Position `json:"last"`  // of the last batch, 0 if that is not known
	Written bridge.Count    `json:"written"`
	Total   bridge.Count    `json:"total"`     // in all blocks of the folder up to the last
	Oldest  int64           `json:"oldest_ms"` // acquisition of the batches, Unix ms
	Newest  int64           `json:"newest_ms"`
	Uptime  int64           `json:"uptime_ms"` // run time of the folder when the last block was written
	// Repaired says that it has no more what was damaged.
	Repaired bool `json:"repaired,omitempty"`
	// Thinned is to which of the spans its readings were thinned, 0 for none. Record is the
	// number of the last record of acknowledgements that counts what it had before.
	Thinned int    `json:"thinned,omitempty"`
	Record  uint64 `json:"record,omitempty"`
}

// Take adds the block with header h, which follows.
// Cumulative counts are taken from the block and not added up here: so an account is
// right even if blocks before it were lost, and its neighbours count what is missing.
func (a *Account) Take(h *Header) {
	if a.Written.Batches == 0 {
		a.Oldest, a.Newest = h.Oldest, h.Newest
	}
	a.Last = h.Last
	a.Written = a.Written.Add(h.Count)
	a.Total = h.Before.Add(h.Count)
	a.Oldest, a.Newest = min(a.Oldest, h.Oldest), max(a.Newest, h.Newest)
	a.Uptime = h.Uptime
}
