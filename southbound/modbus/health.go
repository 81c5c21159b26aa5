package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/wire"
)

// result is how a read went.
type result struct {
	data   []byte // valid until the client's next request
	err    error
	failed []error       // the tries that failed
	at     time.Time     // when the answer was there
	busy   time.Duration // all tries together
}

// fetch does one read, waiting for timeout each time, again if nothing came back. It touches nothing of the
// bus.
func fetch(ctx context.Context, c *wire.Client, d *device, timeout time.Duration, t wire.Table, first, count,
	attempts int) (r result) {
	start := time.Now()
	for left := attempts - 1; left >= 0; left-- {
		c.To(ctx, d.spec.unit, timeout)
		c.Pause(d.spec.pause)
		r.data, r.err = c.Read(t, uint16(first), uint16(count))
		if r.err == nil || ctx.Err() != nil {
			break
		}
		r.failed = append(r.failed, r.err)
		if code, _ := wire.ExceptionCode(r.err); code == deviceBusy && left > 0 {
			if !pause.Sleep(ctx, busyPause) {
				break
			}
			continue
		}
		var connect *wire.ConnectError
		if _, answered := reasonOf(r.err); answered || errors.As(r.err, &connect) {
			break
		}
	}
	r.at = time.Now()
	r.busy = r.at.Sub(start)
	if r.err != nil {
		r.err = fmt.Errorf("read %s %s %d+%d: %w", d.spec.name, t, first, count, r.err)
	}
	return r
}

// busyPause is how long to wait before a device that says that it is busy is
// asked again.
const busyPause = 50 * time.Millisecond

// book keeps the account of a read.
func (b *bus) book(ctx context.Context, r result) ([]byte, error) {
	b.counts.busy.Add(int64(r.busy))
	if r.err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, err := range r.failed {
		b.account(err)
	}
	if r.err == nil {
		b.account(nil)
	}
	return r.data, r.err
}

// account counts a request, and notes whether the bus is up.
func (b *bus) account(err error) {
	b.used = time.Now()
	b.counts.requests.Add(1)
	if err == nil {
		b.connected()
		return
	}
	reason, _ := reasonOf(err)
	b.counts.failures[reason].Add(1)
	var connect *wire.ConnectError
	if errors.As(err, &connect) {
		b.disconnected(reason, connect)
		return
	}
	b.connected()
}

// disconnected notes that there is no connection.
func (b *bus) disconnected(reason bridge.Reason, err error) {
	now := time.Now()
	if b.down.reason == 0 {
		b.log.Warn("bus is down", "err", err)
		b.down.pause = pause.Growing{Least: minConnectPause, Most: maxConnectPause}
		b.setDown(now, err.Error())
	}
	b.down.reason, b.down.until = reason, now.Add(b.down.pause.Next())
}

// connected notes that there is a connection, and begins the cycles that were
// missed without.
func (b *bus) connected() {
	if b.down.reason == 0 {
		return
	}
	now := time.Now()
	b.log.Info("bus is up again", "after", now.Sub(b.getState().since).Round(time.Millisecond))
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
func (b *bus) setDown(since time.Time, detail string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.since, b.state.detail = since, detail
}

func (b *bus) getState() busState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// failed notes that a block could not be read. Silence on one block of a device
// that answers others is not waited for in each cycle.
func (b *bus) failed(j *job, blk *block, reason bridge.Reason, err error, now time.Time) {
	_, answered := reasonOf(err)
	if !blk.told && blk.part == nil && (answered || j.answered) {
		blk.told = true
		b.log.Warn("block is bad", "device", j.device.spec.name, "err", err)
	}
	blk.failed++
	blk.reason = reason
	blk.again = time.Time{}
	if !answered {
		blk.again = now.Add(min(minProbePause<<min(blk.failed, 10), maxProbePause))
	}
}

// recovered notes that a block was read.
func (b *bus) recovered(d *device, blk *block) {
	if blk.told {
		blk.told = false
		b.log.Info("block is good again", "device", d.spec.name, "table", blk.Table.String(), "address", blk.First, "count",
			blk.Count)
	}
	blk.failed = 0
}

// sicken stops polling a device that does not answer; it is probed instead.
func (b *bus) sicken(d *device, now time.Time) {
	d.sick = true
	d.pause = pause.Growing{Least: minProbePause, Most: maxProbePause}
	d.probe = now.Add(d.pause.Next())
	d.setSince(now)
	b.log.Warn("device does not answer", "device", d.spec.name, "unit_id", d.spec.unit, "err", d.err)
}

// well notes that a device answers.
func (b *bus) well(d *device) {
	d.failed = 0
	if !d.sick {
		return
	}
	d.sick = false
	d.survey.renew()
	now := time.Now()
	b.log.Info("device answers again", "device", d.spec.name, "after", now.Sub(d.snapshot().since).Round(time.Millisecond))
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
