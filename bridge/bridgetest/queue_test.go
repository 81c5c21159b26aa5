package bridgetest

import "testing"

// The model must pass its own suite.
var model = Harness{
	Open:    func(*testing.T) DurableQueue { return NewQueue() },
	Restart: func(_ *testing.T, q DurableQueue, _ bool) DurableQueue { return q.(*Queue).Restart() },
}

func TestModelConforms(t *testing.T) { TestQueue(t, model) }

func TestModelComparesWithItself(t *testing.T) {
	for seed := range uint64(20) {
		Compare(t, model, seed, 500)
	}
}
