package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// arrivals is what the cloud has got, read from its messages alone.
type arrivals struct {
	mu         sync.Mutex
	messages   int
	readings   int
	backlog    int // of the readings
	duplicates int // batches that came again
	seen       map[string]bool
	last       time.Time
	newest     map[string]string // device.point: value, as last arrived
}

func newArrivals() *arrivals {
	return &arrivals{seen: make(map[string]bool), newest: make(map[string]string)}
}

// add takes a message of the gateway; those on the status topic have no batches.
func (a *arrivals) add(m awsiottest.Message) {
	var rows struct {
		Run     string
		Backlog bool
		Batches []struct {
			Seq    uint64
			Device string
			Points map[string]json.RawMessage
			Bad    map[string]string
		}
	}
	if json.Unmarshal(m.Payload, &rows) != nil || len(rows.Batches) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages++
	a.last = m.At
	for _, b := range rows.Batches {
		id := fmt.Sprint(rows.Run, " ", b.Seq)
		if a.seen[id] {
			a.duplicates++
			continue
		}
		a.seen[id] = true
		n := len(b.Points) + len(b.Bad)
		a.readings += n
		if rows.Backlog {
			a.backlog += n
			continue // what is newest is not in there
		}
		for point, v := range b.Points {
			a.newest[b.Device+"."+point] = string(v)
		}
		for point, reason := range b.Bad {
			a.newest[b.Device+"."+point] = "bad: " + reason
		}
	}
}

// view shows the demo: on a terminal a few lines that are drawn again and
// again, else a line a second.
type view struct {
	d        *demo
	out      io.Writer
	terminal bool
	start    time.Time
	drawn    int // lines that stand on the terminal
	most     uint64
	told     bool // where the page is
}

func newView(d *demo, out io.Writer) *view {
	return &view{d: d, out: out, terminal: words.Terminal(out), start: time.Now()}
}

// run shows the demo until ctx ends or over is closed.
func (v *view) run(ctx context.Context, over <-chan struct{}) {
	every := time.Second
	if v.terminal {
		every = 250 * time.Millisecond
	}
	fmt.Fprintf(v.out, "Fieldbridge demo. Ctrl-C ends it. Configuration, queue and log: %s\n\n", v.d.dir)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-tick.C:
			v.draw()
		}
	}
}

func (v *view) draw() {
	s := v.d.gateway.Status()
	waiting := s.Queue.Ledger.Waiting.Readings
	v.most = max(v.most, waiting)
	link := v.link(s)
	v.d.arrived.mu.Lock()
	defer v.d.arrived.mu.Unlock()
	a := v.d.arrived
	since := time.Since(v.start)
	page := v.d.gateway.Page()
	clock := fmt.Sprintf("%d:%02d", int(since.Minutes()), int(since.Seconds())%60)
	if !v.terminal {
		if !v.told && page != "" {
			v.told = true
			fmt.Fprintf(v.out, "The gateway's page: %s\n\n", page)
		}
		fmt.Fprintf(v.out, "%s  link: %-44s queue: %6s readings wait, %8s on disk   cloud: %6s readings in %s messages\n",
			clock, link,
			words.Thousands(waiting), words.Bytes(s.Queue.Bytes), words.Thousands(uint64(a.readings)),
			words.Thousands(uint64(a.messages)))
		return
	}
	lines := []string{
		fmt.Sprintf("%s  the newest at the cloud", clock),
		"",
	}
	for _, name := range slices.Sorted(maps.Keys(a.newest)) {
		lines = append(lines, fmt.Sprintf("   %-24s %s", name, a.newest[name]))
	}
	lines = append(lines, "",
		"field    "+v.devices(s),
		"queue    "+bar(waiting, v.most)+fmt.Sprintf("  %s readings wait, %s on disk", words.Thousands(waiting),
			words.Bytes(s.Queue.Bytes)),
		"link     "+link,
		fmt.Sprintf("cloud    %s readings in %s messages, %d of the readings from the backlog, %d batches twice",
			words.Thousands(uint64(a.readings)), words.Thousands(uint64(a.messages)), a.backlog, a.duplicates),
		"page     "+page,
	)
	v.redraw(lines)
}

// redraw writes lines over those of the last time.
func (v *view) redraw(lines []string) {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	for _, l := range lines {
		b.WriteString("\r\x1b[K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	v.drawn = len(lines)
	_, _ = io.WriteString(v.out, b.String())
}

func (v *view) link(s control.Status) string {
	left, cut := v.d.cutFor()
	switch {
	case cut:
		return fmt.Sprintf("CUT, the cloud is back in %d s", max(0, int(left.Seconds()+0.5)))
	case s.Link.Connected:
		return "up for " + words.Ago(s.Now.Sub(s.Link.Since))
	}
	return "down: the gateway connects again"
}

func (v *view) devices(s control.Status) string {
	var parts []string
	for _, d := range s.Devices {
		p := fmt.Sprintf("%s %d good", d.Device, d.Good)
		if d.Bad > 0 {
			p += fmt.Sprintf(" %d bad (%s)", d.Bad, d.Reason)
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, " · ")
}

// bar draws n of most.
func bar(n, most uint64) string {
	const width = 20
	filled := 0
	if most > 0 {
		filled = int(n * width / most)
	}
	return strings.Repeat("█", filled) + strings.Repeat("░", width-filled)
}

// summary tells what became of the readings, after the gateway has stopped.
func (v *view) summary() {
	l := v.d.gateway.Status().Queue.Ledger
	a := v.d.arrived
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(v.out, "\nThe ledger: %s readings accepted + %s found = %s acknowledged + %s dropped + %s damaged + %s "+
		"dead letters + %s waiting\n",
		words.Thousands(l.Accepted.Readings), words.Thousands(l.Restored.Readings), words.Thousands(l.Acked.Readings),
		words.Thousands(l.Dropped.Readings),
		words.Thousands(l.Damaged.Readings), words.Thousands(l.Dead.Readings), words.Thousands(l.Waiting.Readings))
	fmt.Fprintf(v.out, "The cloud has %s of them in %s messages; at most %s waited in the queue.\n",
		words.Thousands(uint64(a.readings)), words.Thousands(uint64(a.messages)), words.Thousands(v.most))
	if l.Waiting.Readings > 0 {
		fmt.Fprintln(v.out, "Those that wait are safe in the queue; with --dir they are sent at the next start.")
	}
}
