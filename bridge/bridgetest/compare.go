package bridgetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// Compare does the same random operations on a queue and on the model and
// compares what they answer, restarts and crashes included. A failure names the
// seed.
func Compare(t *testing.T, h Harness, seed uint64, operations int) {
	c := &comparison{t: t, h: h, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)),
		queue: h.Open(t), model: NewQueue(), runs: map[string]string{}}
	defer func() { _ = c.queue.Close() }()
	c.began()
	for c.step = range operations {
		c.operate()
		if t.Failed() {
			return
		}
	}
}

type comparison struct {
	t     *testing.T
	h     Harness
	seed  uint64
	step  int
	rnd   *rand.Rand
	queue DurableQueue
	model *Queue
	runs  map[string]string // the queue's name of a run to the model's
	// What is claimed: the same batch has different positions in the two.
	claims [][2]bridge.Position
	device int
}

func (c *comparison) began() { c.runs[c.queue.Run()] = c.model.Run() }

func (c *comparison) operate() {
	switch p := c.rnd.IntN(100); {
	case p < 40:
		for range 1 + c.rnd.IntN(5) {
			c.device++
			b := batch("dev"+string(rune('a'+c.device%5)), c.device, c.rnd.IntN(8))
			c.queue.Append(b, nil)
			c.model.Append(b, nil)
		}
	case p < 60:
		c.next(bridge.Lane(c.rnd.IntN(2)), 1+c.rnd.IntN(12))
	case p < 75:
		c.settle(bridge.Queue.Ack)
	case p < 80:
		c.settle(bridge.Queue.Release)
	case p < 82:
		c.settle(func(q bridge.Queue, p ...bridge.Position) { q.Bury("random", p...) })
		c.commit() // a queue may write dead letters at any time
	case p < 85:
		c.queue.Online()
		c.model.Online()
	case p < 88:
		c.queue.Offline()
		c.model.Offline()
		c.claims = nil
	case p < 97:
		c.commit()
	default:
		c.restart(c.rnd.IntN(2) == 0)
	}
	if d := cmp.Diff(c.model.Ledger(), c.queue.Ledger()); d != "" {
		c.t.Errorf("seed %d, operation %d: ledger (-model +queue):\n%s", c.seed, c.step, d)
	}
}

func (c *comparison) commit() {
	if err := c.queue.Commit(context.Background()); err != nil {
		c.t.Fatalf("seed %d, operation %d: %v", c.seed, c.step, err)
	}
	_ = c.model.Commit(context.Background())
}

func (c *comparison) restart(crash bool) {
	if !crash {
		_ = c.model.Close()
		if err := c.queue.Close(); err != nil {
			c.t.Fatalf("seed %d, operation %d: %v", c.seed, c.step, err)
		}
	}
	c.queue = c.h.Restart(c.t, c.queue, crash)
	c.model = c.model.Restart()
	c.claims = nil
	c.began()
}

func (c *comparison) next(lane bridge.Lane, max int) {
	got, want := claim(c.t, c.queue, lane, max), claim(c.t, c.model, lane, max)
	// A queue may return less than it could; what it returns must be the oldest.
	if len(got) == 0 && len(want) > 0 || len(got) > len(want) {
		c.t.Errorf("seed %d, operation %d: the queue gives %d entries, the model %d", c.seed, c.step, len(got), len(want))
		return
	}
	for i := range want {
		if i >= len(got) {
			c.model.Release(want[i].Position)
			continue
		}
		c.claims = append(c.claims, [2]bridge.Position{got[i].Position, want[i].Position})
		got[i].Position, got[i].Run = want[i].Position, c.runs[got[i].Run]
		if d := cmp.Diff(want[i], got[i], compareValues); d != "" {
			c.t.Errorf("seed %d, operation %d: entry (-model +queue):\n%s", c.seed, c.step, d)
		}
	}
}

// settle does something with some of the claims.
func (c *comparison) settle(do func(bridge.Queue, ...bridge.Position)) {
	c.rnd.Shuffle(len(c.claims), func(i, j int) { c.claims[i], c.claims[j] = c.claims[j], c.claims[i] })
	n := c.rnd.IntN(len(c.claims) + 1)
	var a, b []bridge.Position
	for _, p := range c.claims[:n] {
		a, b = append(a, p[0]), append(b, p[1])
	}
	c.claims = c.claims[n:]
	do(c.queue, a...)
	do(c.model, b...)
}
