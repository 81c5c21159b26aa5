package poll

import (
	"context"
	"sync"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// shot is one of several reads at once.
type shot struct {
	job   *job
	block *block
	wire.Fetched
}

// volley reads several blocks at once, those with the earliest deadlines, and
// deals with them in that order. The clients do nothing but ask: all else is
// done here, on the goroutine of the bus.
func (b *Bus) volley(ctx context.Context, emit bridge.Emit) {
	shots := b.load(emit)
	var wg sync.WaitGroup
	for i := range shots {
		s := &shots[i]
		c := b.client
		if i > 0 {
			c = b.others[i-1]
		}
		ask := func() {
			s.Fetched = s.job.fetch(ctx, c, s.block)
		}
		if i < len(shots)-1 {
			wg.Go(ask)
		} else {
			ask()
		}
	}
	wg.Wait()
	for i := range shots {
		s := &shots[i]
		if b.deal(ctx, s.job, s.block, s.Fetched, emit); ctx.Err() != nil {
			return
		}
	}
	for _, j := range b.jobs {
		if j.active && len(j.queue) == 0 {
			b.finish(j, emit)
		}
	}
}

// load takes the next blocks of the jobs that are due.
func (b *Bus) load(emit bridge.Emit) []shot {
	shots := make([]shot, 0, b.Spec.Pipeline)
	for len(shots) < b.Spec.Pipeline {
		var j *job
		for _, k := range b.jobs {
			if k.active && !k.surveying && len(k.queue) > 0 && (j == nil || k.deadline.Before(j.deadline)) {
				j = k
			}
		}
		if j == nil {
			break
		}
		if blk := b.next(j, emit); blk != nil {
			shots = append(shots, shot{job: j, block: blk})
		}
	}
	return shots
}
