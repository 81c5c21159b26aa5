package remote

import (
	"testing"
	"time"
)

// TestAnswerToAQuestionIsNoneToTheOutcome: where a question was asked twice, the
// second answer comes when the outcome has been sent, which meets a conflict.
func TestAnswerToAQuestionIsNoneToTheOutcome(t *testing.T) {
	c := New(testOptions(nil, &memoryState{}))
	c.memory.done["1"] = finished{Until: time.Now().Add(time.Hour).UnixMilli(), Outcome: outcomeDone, Owed: true}
	c.owe(Answer{asked: 1, ID: "1", Outcome: outcomeDone})
	for i, tt := range []struct {
		answer executionAnswer
		owed   bool
	}{{executionAnswer{id: "1", accepted: true}, true}, {executionAnswer{id: "1", code: "DataConflict"}, true},
		{executionAnswer{id: "1", accepted: true}, false}} {
		c.executions.owed["1"].tries = 1
		c.settle(tt.answer)
		if owed := c.executions.owed["1"] != nil; owed != tt.owed || c.memory.done["1"].Owed != tt.owed {
			t.Fatalf("answer %d: owed %v", i, owed)
		}
	}
}
