package store

import (
	"slices"
	"testing"

	"fieldbridge/bridge"
)

// TestOriginsOfKilled: what a kill has left in the journal alone is of the gateway that was
// killed, whoever starts next.
func TestOriginsOfKilled(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "kill")
	q := openQueue(t, of(leftConfig(dir, journal), "next", ""))
	q.Append(testBatch(1, 1), nil)
	q.Online()
	got := whose(take(t, q, bridge.Backlog))
	if i := slices.IndexFunc(got, func(name string) bool { return name != "killed" }); i != 95 || len(got) != 96 ||
		got[95] != "next" {
		t.Errorf("%d batches, the first %d are of the killed gateway", len(got), i)
	}
}
