package mqtt

import (
	"context"
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
)

// watch tells of devices that are overdue, until ctx ends.
func (s *Source) watch(ctx context.Context, emit bridge.Emit) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.rulesChanged:
		case <-timer.C:
		}
		timer.Reset(s.tellSilent(time.Now(), emit))
	}
}

// longestWatch is how long watch sleeps at most: devices appear meanwhile.
const longestWatch = 30 * time.Second

// tellSilent makes the points of overdue devices bad. It returns when to look
// again.
func (s *Source) tellSilent(now time.Time, emit bridge.Emit) time.Duration {
	_, _, rules := s.snapshot()
	wait := longestWatch
	for _, r := range rules {
		if r.expect > 0 {
			// A device that appears now may be overdue that soon.
			wait = min(wait, r.expect)
		}
	}
	for _, d := range s.devices.all() {
		d.mu.Lock()
		feeds := slices.Clone(d.feeds)
		d.mu.Unlock()
		for _, f := range feeds {
			silent, again := f.silent(now)
			wait = min(wait, again)
			if len(silent) > 0 {
				s.log.Debug("device is silent", "device", d.name, "sensor", f.rule.name, "expect", f.rule.expect)
				emit(bridge.Batch{Device: d.name, At: now, Readings: silent}, nil)
			}
		}
	}
	return max(wait, time.Millisecond)
}

// silent returns the bad readings to tell if the device is overdue, when that
// was not told before or the time has come to repeat it; and when to look again.
func (f *feed) silent(now time.Time) ([]bridge.Reading, time.Duration) {
	if f.rule.expect <= 0 {
		return nil, longestWatch
	}
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	due := f.heard.Add(f.rule.expect)
	if !f.told.IsZero() {
		due = f.told.Add(bridge.BadHeartbeat)
	}
	if now.Before(due) {
		return nil, due.Sub(now)
	}
	f.told = now
	return f.badLocked(bridge.ReasonSilent), bridge.BadHeartbeat
}

// offline makes the points bad of a device that says that it goes.
func (f *feed) offline() []bridge.Reading {
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	return f.badLocked(bridge.ReasonOffline)
}

// badLocked makes all points that f reads bad.
func (f *feed) badLocked(why bridge.Reason) []bridge.Reading {
	var readings []bridge.Reading
	for _, name := range slices.Sorted(maps.Keys(f.device.points)) {
		if p := f.device.points[name]; p.feed == f {
			p.value = bridge.Bad(why)
			readings = append(readings, bridge.Reading{Point: name, Value: bridge.Bad(why)})
		}
	}
	return readings
}

// expectKnown makes known, before they are heard of, the devices whose names and
// points do not depend on the topic: so they can be silent from the start.
func (ds *devices) expectKnown(broker string, rules []*rule, now time.Time) {
	for _, r := range rules {
		if r.expect <= 0 || !r.device.Fixed() || r.payload.Single() && !r.point.Fixed() {
			continue
		}
		f := ds.feed(r.device.Expand(nil), r, broker)
		if f == nil || !f.begin(now) {
			continue
		}
		ds.publish(f.device)
	}
}

// begin starts the waiting for the first message, and reports whether it did.
func (f *feed) begin(now time.Time) bool {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if !f.heard.IsZero() {
		return false
	}
	f.heard = now
	infos := f.rule.payload.Points()
	if f.rule.payload.Single() {
		reading := bridge.Reading{Point: f.rule.point.Expand(nil)}
		infos = append(infos, f.rule.payload.Info(reading))
	}
	for _, info := range infos {
		if d.points[info.Name] == nil {
			d.points[info.Name] = &pointState{info: info, feed: f, value: bridge.Bad(bridge.ReasonMissing)}
		}
	}
	return true
}
