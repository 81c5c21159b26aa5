package glance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/southbound/mqtt/trouble"
)

// heard is what came from sensors.
type heard struct {
	Listened float64              `json:"listened_s"`
	Devices  []control.Values     `json:"devices"`
	Silent   []string             `json:"silent_rules,omitempty"` // no message was for them
	Untaken  []mqtt.Seen          `json:"untaken,omitempty"`      // topics that no rule takes
	Unread   []mqtt.Seen          `json:"unread,omitempty"`       // whose last message could not be read
	Clients  []mqtt.ClientTrouble `json:"clients,omitempty"`      // that were refused or cut off
	Problems []string             `json:"problems,omitempty"`     // of brokers
	Error    string               `json:"error,omitempty"`        // why nothing could be heard

	now time.Time
}

// report returns what was heard, by the running gateway whose queue is in dir or
// by e.
func (g *Glance) report(ctx context.Context, dir string, e *ear) *heard {
	h := &heard{Devices: []control.Values{}, now: time.Now()}
	var listing mqtt.Listing
	var err error
	if dir != "" {
		listing, err = h.ask(ctx, dir, g.Config.Southbound.MQTT.Sensors)
	} else {
		listing = e.tell(h)
	}
	if err != nil {
		h.Error = err.Error()
	}
	for _, c := range listing.Clients {
		if dir != "" || c.Trouble != trouble.Queue.Code { // that is us
			h.Clients = append(h.Clients, c)
		}
	}
	taken := make(map[string]bool)
	for _, s := range listing.Topics {
		taken[s.Sensor] = true
		switch {
		case s.Sensor == "":
			h.Untaken = append(h.Untaken, s)
		case s.Error != "":
			h.Unread = append(h.Unread, s)
		}
	}
	for _, rule := range g.Config.Southbound.MQTT.Sensors {
		if !taken[rule.Name] && !rule.Value.Ignore {
			h.Silent = append(h.Silent, rule.Name)
		}
	}
	return h
}

// ask asks a running gateway what it has heard.
func (h *heard) ask(ctx context.Context, dir string, rules setting.Ordered[mqtt.Sensor]) (heard mqtt.Listing,
	err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	data, err := control.Get(ctx, dir, "/sensors")
	if err == nil {
		err = json.Unmarshal(data, &heard)
	}
	for _, s := range heard.Topics {
		if s.Sensor == "" {
			continue
		}
		v := control.Values{Device: s.Device, Now: h.now}
		for _, point := range slices.Sorted(maps.Keys(s.Values)) {
			p := control.Value{Point: point, Text: s.Values[point], At: s.Last, Unit: unitOf(rules, s.Sensor, point)}
			if reason, bad := strings.CutPrefix(p.Text, "bad: "); bad {
				p.Text, p.Bad = "", reason
			}
			v.Points = append(v.Points, p)
		}
		h.Devices = append(h.Devices, v)
	}
	return heard, err
}

// unitOf returns the unit that a rule gives a point.
func unitOf(rules setting.Ordered[mqtt.Sensor], rule, point string) string {
	for _, r := range rules {
		if r.Name == rule {
			return cmp.Or(r.Value.Points[point].Unit, r.Value.Unit)
		}
	}
	return ""
}

// errGlance is why a sensor's message is not acknowledged: it is to send it again
// to the gateway, which keeps it.
var errGlance = errors.New("this is a test and keeps nothing")

// ear listens to sensors in place of a gateway.
type ear struct {
	source    *mqtt.Source
	catalogue bridge.Catalogue
	began     time.Time

	mu     sync.Mutex
	newest map[string]map[string]control.Value // guarded by mu; by device and point
}

// open begins to listen, until closed is called. It is nil where there is nothing
// to listen to.
func (g *Glance) open(ctx context.Context) (e *ear, closed func(), err error) {
	cfg := g.Config.Southbound.MQTT
	if len(cfg.Sensors) == 0 || g.Listen <= 0 {
		return nil, func() {}, nil
	}
	e = &ear{began: time.Now(), newest: make(map[string]map[string]control.Value)}
	e.source, err = mqtt.New(cfg, mqtt.Options{Gateway: g.Config.Gateway, Catalogue: &e.catalogue,
		Log: slog.New(slog.DiscardHandler), Guest: true})
	if err != nil {
		return nil, func() {}, err
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = e.source.Run(ctx, e.take) }) // it fails only if it runs already
	return e, func() { stop(); running.Wait() }, nil
}

func (e *ear) take(b bridge.Batch, safe func(error)) {
	e.mu.Lock()
	points := e.newest[b.Device]
	if points == nil {
		points = make(map[string]control.Value)
		e.newest[b.Device] = points
	}
	for _, r := range b.Readings {
		v := control.Value{Point: r.Point, At: b.At}
		if r.Value.Good() {
			v.Text = r.Value.String()
		} else {
			v.Bad = r.Value.Reason().String()
		}
		points[r.Point] = v
	}
	e.mu.Unlock()
	if safe != nil {
		safe(errGlance)
	}
}

// tell adds to h what was heard so far, and returns the topics.
func (e *ear) tell(h *heard) mqtt.Listing {
	h.Listened = time.Since(e.began).Seconds()
	for _, c := range e.source.Health() {
		h.Problems = append(h.Problems, c.String())
	}
	units := unitsOf(&e.catalogue)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(e.newest)) {
		v := control.Values{Device: name, Now: h.now}
		for _, point := range slices.Sorted(maps.Keys(e.newest[name])) {
			p := e.newest[name][point]
			p.Unit = units[[2]string{name, point}]
			v.Points = append(v.Points, p)
		}
		h.Devices = append(h.Devices, v)
	}
	return e.source.Listing()
}

// unitsOf returns the units of points by device and point.
func unitsOf(c *bridge.Catalogue) map[[2]string]string {
	units := make(map[[2]string]string)
	devices, _, _ := c.Snapshot()
	for _, d := range devices {
		for _, p := range d.Points {
			units[[2]string{d.Device, p.Name}] = p.Unit
		}
	}
	return units
}

// wrong says how much is not as it should be. A rule for which nothing came is
// not: a sensor may speak once an hour.
func (h *heard) wrong() (parts []string) {
	bad := 0
	for _, d := range h.Devices {
		for _, p := range d.Points {
			if p.Bad != "" {
				bad++
			}
		}
	}
	if bad > 0 {
		parts = append(parts, fmt.Sprintf("%s of sensors bad", count(bad, "point is", "points are")))
	}
	if len(h.Unread) > 0 {
		parts = append(parts, fmt.Sprintf("the last message on %s could not be read",
			count(len(h.Unread), "topic", "topics")))
	}
	if len(h.Clients) > 0 {
		parts = append(parts, count(len(h.Clients), "client has trouble", "clients have trouble"))
	}
	if len(h.Problems) > 0 {
		parts = append(parts, "see what is wrong with the broker")
	}
	if h.Error != "" {
		parts = append(parts, "sensors could not be heard: "+h.Error)
	}
	return parts
}

// print shows what was heard.
func (h *heard) print(w io.Writer) {
	if h.Listened > 0 {
		fmt.Fprintf(w, "sensors, heard in %.3g s\n", h.Listened)
	} else {
		fmt.Fprintln(w, "sensors, as the running gateway has heard them")
	}
	t := words.NewColumns(w)
	for _, d := range h.Devices {
		for _, p := range d.Points {
			text := p.Text
			if p.Bad != "" {
				text = paint.Bad(w, "bad: "+p.Bad)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s ago\n", d.Device, p.Point, text, p.Unit, words.Ago(h.now.Sub(p.At)))
		}
	}
	_ = t.Flush()
	for _, p := range h.Problems {
		fmt.Fprintf(w, "  %s\n", paint.Bad(w, p))
	}
	for _, s := range h.Unread {
		fmt.Fprintf(w, "  %s, rule %s: %s, in %s\n", words.Printable(s.Topic), s.Sensor, s.Error, cmp.Or(s.Payload, `""`))
	}
	if h.Silent != nil {
		fmt.Fprintf(w, "  no message came for: %s\n", strings.Join(h.Silent, ", "))
	}
	if h.Untaken != nil {
		fmt.Fprintln(w, "  no rule takes these topics: add one under southbound.mqtt.sensors if they matter")
	}
	for _, s := range h.Untaken {
		fmt.Fprintf(w, "    %s  %s\n", words.Printable(s.Topic), s.Payload)
	}
	tell.Clients(w, h.Clients, h.now)
}
