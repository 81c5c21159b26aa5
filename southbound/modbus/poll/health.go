package poll

import (
	"context"
	"errors"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/wire"
)

// book keeps the account of a read.
func (b *Bus) book(ctx context.Context, r wire.Fetched) ([]byte, error) {
	b.counts.busy.Add(int64(r.Busy))
	if r.Err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, err := range r.Failed {
		b.account(err)
	}
	if r.Err == nil {
		b.account(nil)
	}
	return r.Data, r.Err
}

// account counts a request, and notes whether the bus is up.
func (b *Bus) account(err error) {
	b.used = time.Now()
	b.counts.requests.Add(1)
	if err == nil {
		b.connected()
		return
	}
	reason, _ := wire.Reason(err)
	b.counts.failures[reason].Add(1)
	var connect *wire.ConnectError
	if errors.As(err, &connect) {
		b.disconnected(reason, connect)
		return
	}
	b.connected()
}

// disconnected notes that there is no connection.
func (b *Bus) disconnected(reason bridge.Reason, err error) {
	now := time.Now()
	if b.down.reason == 0 {
		b.log.Debug("bus is down", "err", err)
		b.down.pause = pause.Growing{Least: minConnectPause, Most: maxConnectPause}
		b.setDown(now, err.Error())
	}
	b.down.reason, b.down.until = reason, now.Add(b.down.pause.Next())
}

// connected notes that there is a connection, and begins the cycles that were
// missed without.
func (b *Bus) connected() {
	if b.down.reason == 0 {
		return
	}
	now := time.Now()
	b.log.Debug("bus is up again", "after", now.Sub(b.Status().Down).Round(time.Millisecond))
	b.down = down{}
	b.setDown(time.Time{}, "")
	for _, d := range b.devices {
		d.survey.renew() // another device may be there now
	}
	for _, j := range b.jobs {
		if j.missed && !j.active {
			j.begin(now)
		}
	}
}

// setDown tells others that the bus is down since then; zero is that it is up.
func (b *Bus) setDown(since time.Time, detail string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Down, b.state.Detail = since, detail
}

// Status returns how the bus is doing. It is safe for concurrent use.
func (b *Bus) Status() BusStatus {
	b.mu.Lock()
	s := b.state
	b.mu.Unlock()
	s.Requests, s.Late = b.counts.requests.Load(), b.counts.late.Load()
	s.Busy = time.Duration(b.counts.busy.Load())
	return s
}

// Failures returns how many requests failed for a reason since the bus started,
// with retries. It is safe for concurrent use.
func (b *Bus) Failures(r bridge.Reason) uint64 { return b.counts.failures[r].Load() }

// failed notes that a block could not be read. Silence on one block of a device
// that answers others is not waited for in each cycle.
func (b *Bus) failed(j *job, blk *block, reason bridge.Reason, err error, now time.Time) {
	_, answered := wire.Reason(err)
	if !blk.told && blk.part == nil && (answered || j.answered) {
		blk.told = true
		b.log.Warn("block is bad", "device", j.device.Spec.Name, "err", err)
	}
	blk.failed++
	blk.reason = reason
	blk.again = time.Time{}
	if !answered {
		blk.again = now.Add(min(minProbePause<<min(blk.failed, 10), maxProbePause))
	}
}

// recovered notes that a block was read.
func (b *Bus) recovered(d *Device, blk *block) {
	if blk.told {
		blk.told = false
		b.log.Info("block is good again", "device", d.Spec.Name, "table", blk.Table.String(), "address", blk.First, "count",
			blk.Count)
	}
	blk.failed = 0
}

// sicken stops polling a device that does not answer; it is probed instead.
func (b *Bus) sicken(d *Device, now time.Time) {
	d.sick = true
	d.pause = pause.Growing{Least: minProbePause, Most: maxProbePause}
	d.probe = now.Add(d.pause.Next())
	d.setSince(now)
	b.log.Debug("device does not answer", "device", d.Spec.Name, "unit_id", d.Spec.ID, "err", d.err)
}

// well notes that a device answers.
func (b *Bus) well(d *Device) {
	d.failed = 0
	if !d.sick {
		return
	}
	d.sick = false
	d.survey.renew()
	now := time.Now()
	b.log.Debug("device answers again", "device", d.Spec.Name, "after", now.Sub(d.Status().Since).Round(time.Millisecond))
	d.setSince(time.Time{})
	for _, j := range d.jobs {
		for _, blk := range j.blocks {
			blk.failed = 0
		}
		if j.missed && !j.active {
			j.begin(now)
		}
	}
}
