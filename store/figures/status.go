package figures

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/flash"
)

// Status is how the queue is doing, for people.
type Status struct {
	Dir     string        `json:"dir"`
	Run     string        `json:"run"`
	Ledger  bridge.Ledger `json:"ledger"`
	Fresh   bridge.Count  `json:"fresh"`   // waiting, queued since the current connection began
	Backlog bridge.Count  `json:"backlog"` // waiting, queued before
	Memory  bridge.Count  `json:"memory"`  // waiting, not on disk

	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"` // of the segments on disk
	MaxSize  int64 `json:"max_size"`
	// FullIn is when max_size is reached at the rate of the segments on disk; 0
	// if that cannot be said.
	FullIn time.Duration `json:"full_in_ns,omitempty"`
	// Oldest is about when the oldest batch was measured that waits on disk, zero if none
	// does; Newest when the newest of the segments was, whether it waits or not.
	Oldest  time.Time `json:"oldest,omitzero"`
	Newest  time.Time `json:"newest,omitzero"`
	Commits uint64    `json:"commits"` // blocks written
	Syncs   uint64    `json:"syncs"`
	Written uint64    `json:"written_bytes"` // to the disk, in whole pages
	// PowerCut is the most that a power cut takes of polled readings as things are.
	PowerCut time.Duration `json:"power_cut_ns"`
	Flash    *flash.Report `json:"flash,omitempty"` // nil without store.flash_budget
}
