//go:build linux

package store

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"fieldbridge/bridge"
)

// bytesRead returns what this process has read so far, by /proc/self/io.
func bytesRead(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`(?m)^rchar: (\d+)`).FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFlappingPower cuts the power a hundred times in a row, each time soon after the
// start, with and without a connection, before a backlog and without one: the hundredth
// start reads hardly more than the first, and there are not more segments.
func TestFlappingPower(t *testing.T) {
	for name, tt := range map[string]struct {
		backlog, each int // batches before, and in each run
		online        bool
	}{
		"nothing is read":       {},
		"a backlog":             {backlog: 20_000},
		"each run commits":      {backlog: 100, each: 5},
		"each run is connected": {backlog: 100, each: 5, online: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			q := openQueue(t, testConfig(dir))
			for i := range tt.backlog {
				q.Append(testBatch(i, 5), nil)
			}
			if err := q.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			var reads [100]int
			var segments [100]int
			for cut := range reads {
				after := copyDir(t, dir) // what is there when the power is cut
				if err := q.Close(); err != nil {
					t.Fatal(err)
				}
				_ = os.RemoveAll(dir)
				dir = after
				before := bytesRead(t)
				q = openQueue(t, testConfig(dir))
				reads[cut], segments[cut] = bytesRead(t)-before, q.Status().Segments
				if tt.online {
					q.Online()
				}
				for i := range tt.each {
					q.Append(testBatch(i, 5), nil)
				}
				if err := q.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tt.online {
					ackAll(q, take(t, q, bridge.Fresh))
				}
			}
			// What the runs wrote is looked at; the account of a run is some 80 bytes.
			if most := reads[0] + 100*(150+tt.each*300); reads[99] > most {
				t.Errorf("the first start read %d bytes, the tenth %d, the hundredth %d: at most %d are right",
					reads[0], reads[9], reads[99], most)
			}
			if segments[99] > segments[0] {
				t.Errorf("%d segments at first, %d after a hundred cuts", segments[0], segments[99])
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
