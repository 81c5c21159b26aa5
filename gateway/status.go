package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console"
	"fieldbridge/console/page"
	"fieldbridge/gateway/control"
	"fieldbridge/gateway/recent"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/setting"
	"fieldbridge/store/terms"
	"fieldbridge/vitals"
)

// Status tells everything about the gateway. It is safe for concurrent use, after
// the end of Run, too.
func (g *Gateway) Status() control.Status {
	applied := g.change.Status()
	s := control.Status{
		Gateway: g.name, Run: g.queue.Run(), Version: g.version, Started: g.started, Now: time.Now(),
		Config: applied.Hash, Change: &applied,
		Link: g.sink.Link(), Queue: g.queue.Status(), Buses: g.modbus.Buses(), Commands: g.sink.Commands(),
		Intervals: g.modbus.Intervals(), Conditions: g.view.Conditions(),
	}
	if s.Trial = g.releases.trial.Load(); s.Trial != nil {
		s.ReleaseOnTrial = s.Trial.Version
	}
	if now := g.sink.Jobs(); now.ID != "" || now.Last != nil {
		s.Jobs = &now
	}
	s.Offline = g.offline(&s)
	for _, d := range []bridge.DeviceReporter{g.modbus, g.mqtt} {
		s.Devices = append(s.Devices, d.Devices()...)
	}
	return s
}

// sentence is how the gateway is, as anyone may see it.
func (g *Gateway) sentence() string {
	s := g.Status()
	return g.logging.hidden.Load().In(s.Sentence())
}

// holdRenewal says why the certificate is not to be renewed now: what is on trial beside
// it, or waits for long, would be in doubt, too.
func (g *Gateway) holdRenewal() string {
	if g.releases.trial.Load() != nil {
		return "a release of the program is on trial"
	}
	if why := g.holdRelease(); why != "" {
		return why
	}
	if since := g.queue.Status().Oldest; !since.IsZero() && time.Since(since) > time.Hour {
		return "readings of more than an hour wait"
	}
	return ""
}

// holdRelease says why no release may go on trial now.
func (g *Gateway) holdRelease() string {
	if !g.change.Status().OnTrial.IsZero() {
		return "a configuration is on trial"
	}
	return ""
}

// offlineAfter is how long a gateway must run before its rate is known.
const offlineAfter = 10 * time.Second

// offline says how long the uplink may be away from now on before a reading is
// dropped: as the queue's files grew while it was away, or by the rate since the
// start. What max_age drops first is what waits longest.
func (g *Gateway) offline(s *control.Status) time.Duration {
	up := s.Now.Sub(s.Started)
	if up < offlineAfter {
		return 0
	}
	config := g.change.Config().Store
	lasts := s.Queue.FullIn
	if s.Link.Connected || lasts == 0 {
		lasts = config.Lasts(float64(s.Queue.Ledger.Accepted.Readings)/up.Seconds(), g.room(&config, s.Queue.Bytes))
	}
	if age := config.MaxAge.D(); age > 0 && lasts > age {
		lasts = age
		if !s.Queue.Oldest.IsZero() {
			lasts = max(age-s.Now.Sub(s.Queue.Oldest), 0)
		}
	}
	return lasts
}

// room returns how many bytes the queue may still take, of max_size and of what the
// file system has above min_free.
func (g *Gateway) room(c *terms.Config, taken int64) int64 {
	left := int64(c.MaxSize) - taken
	var fs syscall.Statfs_t
	if syscall.Statfs(g.dir, &fs) == nil {
		left = min(left, int64(fs.Bavail)*int64(fs.Bsize)-int64(c.MinFree))
	}
	return left
}

// figures are what the gateway reads of itself.
func (g *Gateway) figures() vitals.Figures {
	s := g.Status()
	f := vitals.Figures{Started: g.started, Connected: s.Link.Connected, Ledger: s.Queue.Ledger,
		Backlog: s.Queue.Backlog.Readings, Disk: s.Queue.Bytes, Memory: residentMemory(), Devices: s.Devices, Buses: s.Buses,
		Conditions: s.Conditions}
	if f.Ledger.Waiting.Readings > 0 {
		f.Oldest = s.Queue.Oldest
	}
	if s.Link.Own != nil {
		f.Expires = s.Link.Own.Expires
	}
	return f
}

// Page returns where the console's page is, "" while it does not listen.
func (g *Gateway) Page() string { return g.view.URL() }

// Broker returns where the embedded broker of that name listens, nil while it
// does not.
func (g *Gateway) Broker(name string) net.Addr { return g.mqtt.Addr(name) }

// values returns the newest readings of a device.
func (g *Gateway) values(device string) (control.Values, error) {
	all, _, _ := g.catalogue.Snapshot()
	i, found := slices.BinarySearchFunc(all, device, byName)
	if !found && slices.ContainsFunc(g.mqtt.Devices(), func(d bridge.DeviceStatus) bool { return d.Device == device }) {
		return control.Values{Device: device, Now: time.Now(), Points: []control.Value{}}, nil // remembered, not heard since
	}
	if !found {
		names := make([]string, len(all))
		for i, d := range all {
			names[i] = d.Device
		}
		return control.Values{}, fmt.Errorf("%w %s: %s", console.ErrNoDevice, device,
			setting.Meant(device, names, setting.Choice("the gateway has", names)))
	}
	units := make(map[string]string)
	for _, p := range all[i].Points {
		units[p.Name] = p.Unit
	}
	raw := g.modbus.Raw(device)
	answer := control.Values{Device: device, Now: time.Now(), Points: []control.Value{}}
	for _, p := range g.recent.Device(device) {
		v := control.Value{Point: p.Name, Unit: units[p.Name], At: p.At, Raw: raw[p.Name]}
		if p.Value.Good() {
			v.Text, v.Value = p.Value.String(), told(p.Value)
		} else {
			v.Bad = p.Value.Reason().String()
			if !p.GoodAt.IsZero() {
				v.LastGood, v.LastGoodAt = p.Good.String(), p.GoodAt
			}
		}
		answer.Points = append(answer.Points, v)
	}
	return answer, nil
}

// told returns a good value as JSON, with all its digits.
func told(v bridge.Value) json.RawMessage {
	if v.Kind() != bridge.KindString {
		return v.AppendNumber(nil)
	}
	text, _ := json.Marshal(v.Str()) // a text is always written
	return text
}

// mostUnmatched is how many topics that no rule takes the page is given.
const mostUnmatched = 20

// page returns what the page shows, as anyone may see it, and what returns the
// points of a device.
func (g *Gateway) page() (page.State, func(device string) []page.Point) {
	s := g.Status()
	hide := g.logging.hidden.Load().In
	p := page.State{
		Gateway: s.Gateway, Run: s.Run, Version: s.Version, Config: s.Config, Started: s.Started, Now: s.Now,
		Link: s.Link, Buses: s.Buses, Conditions: s.Conditions, Events: g.diary.Events(), WellSince: g.diary.WellSince(),
		Step: recent.Step,
		Queue: page.Queue{Ledger: s.Queue.Ledger, Backlog: s.Queue.Backlog, Bytes: s.Queue.Bytes,
			MaxSize: s.Queue.MaxSize, Lasts: s.Offline},
	}
	if t := s.Trial; t != nil {
		p.Program = &page.Program{Since: t.Since, Attempts: t.Attempts, Until: t.Until, Missing: t.Missing,
			Kept: t.Kept}
	}
	p.Job, p.LastJob = shownJobs(s.Jobs, hide)
	if s.Change != nil {
		p.Trial = s.Change.OnTrial
	}
	p.Link.Endpoint, p.Link.Detail = hide(p.Link.Endpoint), hide(p.Link.Detail)
	for i := range p.Buses {
		p.Buses[i].Address, p.Buses[i].Detail = hide(p.Buses[i].Address), hide(p.Buses[i].Detail)
	}
	for _, d := range s.Devices {
		d.Via, d.Detail = hide(d.Via), hide(d.Detail)
		p.Devices = append(p.Devices, page.Device{DeviceStatus: d})
	}
	for _, t := range g.mqtt.Unmatched(mostUnmatched) {
		p.Unmatched = append(p.Unmatched, page.Topic{Broker: t.Broker, Topic: hide(t.Topic), Payload: hide(t.Payload),
			Messages: t.Messages, Last: t.Last})
	}
	for _, c := range g.mqtt.Troubled() {
		p.Refused = append(p.Refused, page.Client{Broker: c.Broker, ID: hide(cmp.Or(c.Client, c.User, c.Remote)),
			Address: c.Remote, Why: hide(c.Cause + ": " + c.Advice), Times: c.Count, Last: c.Last})
	}
	all, _, _ := g.catalogue.Snapshot()
	return p, func(device string) []page.Point {
		if i, found := slices.BinarySearchFunc(all, device, byName); found {
			return g.points(&all[i])
		}
		return nil
	}
}

// shownJobs returns the job under way and the last one as the page shows them.
func shownJobs(now *jobs.Now, hide func(string) string) (job, last *page.Job) {
	if now == nil {
		return nil, nil
	}
	if now.ID != "" {
		job = &page.Job{ID: now.ID, Operation: now.Operation, Step: now.Step, Percent: now.Percent, At: now.Since,
			Owed: now.Owed}
	}
	if l := now.Last; l != nil {
		last = &page.Job{ID: l.ID, Operation: l.Operation, At: l.At, Status: string(l.Status), RolledBack: l.RolledBack,
			Why: hide(l.Error)}
	}
	return job, last
}

func byName(d bridge.DeviceInfo, name string) int { return strings.Compare(d.Device, name) }

// points returns the points of a device with what was read of them last.
func (g *Gateway) points(d *bridge.DeviceInfo) []page.Point {
	raw, read := g.modbus.Raw(d.Device), g.recent.Device(d.Device)
	points := make([]page.Point, 0, len(d.Points))
	for _, info := range d.Points {
		p := page.Point{Name: info.Name, Unit: info.Unit, Raw: raw[info.Name]}
		if j, found := slices.BinarySearchFunc(read, info.Name, func(p recent.Point, name string) int {
			return strings.Compare(p.Name, name)
		}); found {
			r := read[j]
			p.At, p.Course = r.At, r.Course
			if r.Value.Good() {
				p.Text = r.Value.String()
			} else {
				p.Bad = r.Value.Reason().String()
				if !r.GoodAt.IsZero() {
					p.LastGood, p.LastGoodAt = r.Good.String(), r.GoodAt
				}
			}
		}
		points = append(points, p)
	}
	return points
}
