package bridgetest

import (
	"os"
	"testing"
)

// The model must pass its own suite.
var model = Harness{
	Open:    func(*testing.T) DurableQueue { return NewQueue() },
	Restart: func(_ *testing.T, q DurableQueue, _ bool) DurableQueue { return q.(*Queue).Restart() },
}

func TestModelConforms(t *testing.T) { TestQueue(t, model) }

func TestModelComparesWithItself(t *testing.T) {
	seeds := uint64(5)
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		seeds = 20
	}
	for seed := range seeds {
		Compare(t, model, seed, 500)
	}
}
