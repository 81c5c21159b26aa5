package mqtt

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/attendance"
)

// remember writes down who was heard and when, from time to time until ctx ends and
// then once more: no message waits for the disk.
func remember(ctx context.Context, b *attendance.Book, ds *devices, synced func() bool, log *slog.Logger) {
	tick := time.NewTicker(attendance.Every)
	defer tick.Stop()
	for {
		stop := false
		select {
		case <-ctx.Done():
			stop = true
		case <-tick.C:
		}
		now := time.Now()
		all := append(ds.entries(now, func(*device) bool { return true }), ds.waiting(now)...)
		if err := b.Write(all, now, synced(), stop); err != nil {
			log.Warn("the sensors cannot be remembered", "err", err)
		}
		if stop {
			return
		}
	}
}

// waiting returns the rules that have had no message.
func (ds *devices) waiting(now time.Time) (all []attendance.Entry) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, r := range ds.rules {
		if n, _ := r.heard.tell(); n == 0 && !r.config.Ignore {
			all = append(all, attendance.Entry{Broker: r.config.Broker, Rule: r.name, Silent: r.waits.silent(now)})
		}
	}
	return all
}

// entries returns what is remembered of the devices that are wanted.
func (ds *devices) entries(now time.Time, wanted func(*device) bool) (all []attendance.Entry) {
	ds.mu.Lock()
	var feeds []*feed
	for _, d := range ds.byName {
		if wanted(d) {
			feeds = append(feeds, d.feeds...)
		}
	}
	ds.mu.Unlock()
	slices.SortFunc(feeds, func(a, b *feed) int { return cmp.Compare(a.serial, b.serial) })
	for _, f := range feeds {
		if e, ok := f.entry(now); ok {
			all = append(all, e)
		}
	}
	return all
}

// entry returns what is remembered of f; false while it was never heard.
func (f *feed) entry(now time.Time) (attendance.Entry, bool) {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	e := attendance.Entry{Broker: f.rule.config.Broker, Rule: f.rule.name, Device: d.original}
	if !f.Entry(&e, now) {
		return e, false
	}
	if f.Recalled() || f.rule.expect.Within() <= 0 {
		return e, true
	}
	// The rule names the others.
	var own []string
	for name, p := range d.points {
		if p.feed == f && !f.rule.names(name) {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	e.Points = nil
	for _, name := range own {
		info := &d.points[name].info
		e.Points = append(e.Points, cmp.Or(info.Original, name), info.Type)
	}
	return e, true
}

// names reports whether the rule itself names a point.
func (r *rule) names(point string) bool {
	return slices.ContainsFunc(r.payload.Points(), func(p bridge.PointInfo) bool { return p.Name == point })
}

// recall makes the devices known again that were there before, and takes over the
// rules. Those whose rule is gone are forgotten with it.
func (ds *devices) recall(absent []attendance.Entry, all []*rule, now time.Time) {
	rules := make(map[string]*rule, len(all))
	ds.mu.Lock()
	ds.rules = all
	for _, r := range all {
		rules[r.name] = r
		if r.waits.since.IsZero() {
			r.waits.since = now
		}
	}
	ds.mu.Unlock()
	for _, e := range absent {
		r := rules[e.Rule]
		if r == nil || r.config.Ignore || r.config.Broker != e.Broker {
			continue
		}
		if e.Device == "" {
			ds.mu.Lock()
			r.waits.before = max(r.waits.before, e.Silent)
			ds.mu.Unlock()
			continue
		}
		if f := ds.feed(e.Device, r, e.Broker); f != nil && f.remind(e, now) {
			ds.publish(f.device)
		}
	}
}

// remind takes over what is remembered of f, and reports whether it has points now.
func (f *feed) remind(e attendance.Entry, now time.Time) bool {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if !f.Recall(e, now) {
		return false // it was heard meanwhile
	}
	if d.last.IsZero() {
		d.last = e.Heard
	}
	if f.rule.expect.Within() <= 0 {
		return false
	}
	f.expectPoints()
	for i := 0; i+1 < len(e.Points); i += 2 {
		name, _ := d.nameLocked(e.Points[i])
		info := f.rule.payload.Info(bridge.Reading{Point: name})
		info.Type = e.Points[i+1]
		if e.Points[i] != name {
			info.Original = e.Points[i]
		}
		f.expectPoint(info)
	}
	return true
}

// missed returns the devices of a broker that were heard in a run before, and not in
// this one.
func (ds *devices) missed(broker string, now time.Time) (all []Seen) {
	for _, d := range ds.all() {
		d.mu.Lock()
		for _, f := range d.feeds {
			var e attendance.Entry
			if f.Recalled() && f.rule.config.Broker == broker && f.Entry(&e, now) {
				all = append(all, Seen{Broker: broker, Topic: e.Topic, Sensor: f.rule.name, Device: d.name, Remembered: true,
					Last: e.Heard})
			}
		}
		d.mu.Unlock()
	}
	return all
}
