package mqtt

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// tellSilent makes the points of overdue devices bad whose rules say how long they
// may be silent, and forgets those that nobody remembers any more. It returns when
// to look again.
func (s *Source) tellSilent(now time.Time, emit bridge.Emit) time.Duration {
	_, _, rules := s.snapshot()
	wait := longestWatch
	for _, r := range rules {
		if within := r.expect.Within(); within > 0 {
			// A device that appears now may be overdue that soon.
			wait = min(wait, within)
		}
	}
	for _, d := range s.devices.all() {
		d.mu.Lock()
		feeds := slices.Clone(d.feeds)
		d.mu.Unlock()
		for _, f := range feeds {
			silent, again := f.overdue(now)
			wait = min(wait, again)
			if len(silent) > 0 {
				s.log.Debug("device is silent", "device", d.name, "sensor", f.rule.name, "expect", f.rule.expect)
				emit(bridge.Batch{Device: d.name, At: now, Readings: silent}, nil)
			}
		}
		if len(feeds) > 0 && !slices.ContainsFunc(feeds, func(f *feed) bool { return !f.forgotten(now) }) {
			s.log.Info("device is forgotten", "device", d.name, "forget_after", feeds[0].rule.config.ForgetAfter)
			s.devices.drop(d.name)
		}
	}
	return max(wait, time.Millisecond)
}

// overdue returns the bad readings to tell if the device is overdue, and when to
// look again.
func (f *feed) overdue(now time.Time) ([]bridge.Reading, time.Duration) {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	_, was := f.Quiet()
	tell, again := f.Overdue(now, f.rule.expect)
	if _, is := f.Quiet(); is && !was {
		f.noteBattery()
	}
	if tell {
		return f.badLocked(bridge.ReasonSilent), again
	}
	return nil, cmp.Or(again, longestWatch)
}

// noteBattery keeps what the device said of its battery: it may be why it is silent.
func (f *feed) noteBattery() {
	f.charge = ""
	for name, p := range f.device.points {
		if p.feed == f && p.value.Good() && strings.Contains(name, "batt") {
			f.charge = strings.TrimSpace(fmt.Sprintf("%s %s %s", name, p.value, p.info.Unit))
		}
	}
}

// forgotten reports whether the rule says that so silent a device was never there.
func (f *feed) forgotten(now time.Time) bool {
	after := f.rule.config.ForgetAfter.D()
	if after <= 0 {
		return false
	}
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	return f.Silent(now) >= after
}

// gone makes the points bad of a device that says that it goes.
func (f *feed) gone(at time.Time) []bridge.Reading {
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	f.Gone(at, "")
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
		if r.expect.Within() <= 0 || r.config.Ignore || !r.device.Fixed() || r.payload.Single() && !r.point.Fixed() {
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
	if !f.Begin(now) {
		return false
	}
	f.expectPoints()
	return true
}

// expectPoints makes known the points that the rule names: they have no value yet.
// The caller holds the device's mu.
func (f *feed) expectPoints() {
	infos := f.rule.payload.Points()
	if f.rule.payload.Single() && f.rule.point.Fixed() {
		infos = append(infos, f.rule.payload.Info(bridge.Reading{Point: f.rule.point.Expand(nil)}))
	}
	for _, info := range infos {
		f.expectPoint(info)
	}
}

func (f *feed) expectPoint(info bridge.PointInfo) {
	if d := f.device; d.points[info.Name] == nil && len(d.points) < maxPoints {
		d.points[info.Name] = &pointState{info: info, feed: f, value: bridge.Bad(bridge.ReasonMissing)}
	}
}
