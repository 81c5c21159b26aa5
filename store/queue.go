package store

import (
	"context"
	"log/slog"
	"time"

	"fieldbridge/bridge"
)

// Queue is the durable queue of a gateway.
type Queue struct {
}

var (
	_ bridge.Queue          = (*Queue)(nil)
	_ bridge.Notices        = (*Queue)(nil)
	_ bridge.Observable     = (*Queue)(nil)
	_ bridge.HealthReporter = (*Queue)(nil)
	_ bridge.State          = (*State)(nil)
)

// Open opens the queue in cfg.Dir and begins a run.
func Open(cfg Config, log *slog.Logger) (*Queue, error) { return &Queue{}, nil }

// Run returns the id of this run.
func (q *Queue) Run() string { return "" }

// Commit writes what is not yet safe, now.
func (q *Queue) Commit(ctx context.Context) error { return nil }

// Close commits, persists the acknowledgements and closes the files.
func (q *Queue) Close() error { return nil }

func (q *Queue) Append(b bridge.Batch, safe func(error)) {}
func (q *Queue) Online()                                 {}
func (q *Queue) Offline()                                {}
func (q *Queue) Next(ctx context.Context, lane bridge.Lane, max int) ([]bridge.Entry, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (q *Queue) Ack(positions ...bridge.Position)                {}
func (q *Queue) Release(positions ...bridge.Position)            {}
func (q *Queue) Bury(cause string, positions ...bridge.Position) {}
func (q *Queue) Ledger() bridge.Ledger                           { return bridge.Ledger{} }
func (q *Queue) Runs() []bridge.RunRecord                        { return nil }
func (q *Queue) AckRuns(runs ...string)                          {}
func (q *Queue) Tombstones() []bridge.Tombstone                  { return nil }
func (q *Queue) AckTombstones(ids ...uint64)                     {}
func (q *Queue) Noticed() <-chan struct{}                        { return nil }
func (q *Queue) Observe(yield func(bridge.Metric))               {}
func (q *Queue) Health() []bridge.Condition                      { return nil }
func (q *Queue) Status() Status                                  { return Status{} }

// Status is how the queue is doing, for people.
type Status struct {
	Dir      string        `json:"dir"`
	Run      string        `json:"run"`
	Ledger   bridge.Ledger `json:"ledger"`
	Fresh    bridge.Count  `json:"fresh"`   // waiting, queued since the current connection began
	Backlog  bridge.Count  `json:"backlog"` // waiting, queued before
	Segments int           `json:"segments"`
	Bytes    int64         `json:"bytes"`           // on disk, all files
	Oldest   time.Time     `json:"oldest,omitzero"` // acquisition of the oldest waiting batch on disk
	Newest   time.Time     `json:"newest,omitzero"`
	Commits  uint64        `json:"commits"`
	Syncs    uint64        `json:"syncs"`
	Written  uint64        `json:"written_bytes"`
}
