package things

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExecutionTimesOut: a device may still end what the service has timed out, but there
// is no way back to IN_PROGRESS.
func TestExecutionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const id = "1"
		x := NewExecutions(func(string, any) {}, 100*time.Millisecond)
		x.Start(id, "gateway-1", 10*time.Second)
		say := func(status string) string {
			code, _ := x.update(id, "things/gateway-1", []byte(`{"status":"`+status+`"}`))
			return code
		}
		var got []string
		for _, status := range []string{"IN_PROGRESS", "IN_PROGRESS"} {
			got = append(got, say(status))
		}
		time.Sleep(11 * time.Second)
		for _, status := range []string{"IN_PROGRESS", "FAILED", "FAILED"} {
			got = append(got, say(status))
		}
		if diff := cmp.Diff([]string{"", "DataConflict", "InvalidStateTransition", "", "TerminalStateReached"},
			got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		history := []ExecutionStatus{Created, InProgress, TimedOut, Failed}
		if diff := cmp.Diff(history, x.Get(id).History); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}
