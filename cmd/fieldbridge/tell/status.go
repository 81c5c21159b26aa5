// Package tell writes for people what the gateway, its queue and its files say: one
// function for each thing told. It decides nothing and asks nobody.
package tell

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/condition"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/setting"
)

// Status tells it to a person: first who, then the uplink and the queue,
// then the devices, and last what is wrong and what to do.
func Status(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "%s  up %s  run %s  version %s  configuration %.12s\n\n", s.Gateway, words.Ago(s.Now.Sub(s.Started)),
		s.Run, s.Version, s.Config)
	fmt.Fprintf(w, "%s\n\n", s.Sentence())
	if s.Trial != nil {
		fmt.Fprintf(w, "program  %s\n", s.Trial.Sentence(s.Now))
	}
	if c := s.Change; c != nil {
		fmt.Fprintf(w, "config   %s, applied %s ago", c.Origin, words.Ago(s.Now.Sub(c.Applied)))
		if !c.OnTrial.IsZero() {
			fmt.Fprintf(w, ", on trial for %s more", words.Ago(c.OnTrial.Sub(s.Now)))
		}
		fmt.Fprintln(w)
	}
	link := "not connected"
	if s.Link.Connected {
		link = "connected"
	}
	fmt.Fprintf(w, "uplink   %s to %s", link, s.Link.Endpoint)
	if !s.Link.Since.IsZero() {
		fmt.Fprintf(w, " since %s", words.Ago(s.Now.Sub(s.Link.Since)))
	}
	fmt.Fprintln(w)
	if s.Link.Detail != "" {
		fmt.Fprintf(w, "         %s\n", s.Link.Detail)
	}
	if !s.Link.Connected && s.Link.Retry.After(s.Now) {
		fmt.Fprintf(w, "         next try in %s\n", words.Ago(s.Link.Retry.Sub(s.Now)))
	}
	printTLS(w, s)
	if i := s.Link.Identity; i != nil {
		Identity(w, i, s.Now)
	}
	printQueue(w, s)
	printSwitch(w, s)
	printJob(w, &s)
	printBuses(w, s.Buses)
	printDevices(w, s)
	if len(s.Conditions) == 0 {
		fmt.Fprintf(w, "\nhealth   %s\n", paint.Good(w, "all is well"))
		return
	}
	fmt.Fprintln(w)
	for _, c := range s.Conditions {
		severity := fmt.Sprintf("%-8s", c.Severity)
		if c.Severity == condition.Alarm {
			severity = paint.Bad(w, severity)
		} else {
			severity = paint.Doubtful(w, severity)
		}
		fmt.Fprintf(w, "%s %v (for %s)\n", severity, c, words.Ago(s.Now.Sub(c.Since)))
	}
}

// printTLS tells what the connection is made of, and when certificates end.
func printTLS(w io.Writer, s control.Status) {
	if s.Link.TLS != "" {
		fmt.Fprintf(w, "         %s", s.Link.TLS)
		if c := s.Link.Server; c != nil {
			fmt.Fprintf(w, ", server certificate until %s", c.Expires.UTC().Format(time.DateOnly))
		}
		fmt.Fprintln(w)
	}
	if c := s.Link.Own; c != nil {
		left := "expired " + words.Ago(s.Now.Sub(c.Expires)) + " ago"
		if c.Expires.After(s.Now) {
			left = "in " + words.Ago(c.Expires.Sub(s.Now))
		}
		fmt.Fprintf(w, "         own certificate until %s (%s)\n", c.Expires.UTC().Format(time.DateOnly), left)
	}
}

func printQueue(w io.Writer, s control.Status) {
	q, l := &s.Queue, &s.Queue.Ledger
	wait := "readings wait"
	if l.Waiting.Readings == 1 {
		wait = "reading waits"
	}
	fmt.Fprintf(w, "queue    %s %s (%s of them backlog), %s on disk", words.Thousands(l.Waiting.Readings), wait,
		words.Thousands(q.Backlog.Readings), words.Bytes(q.Bytes))
	if !q.Oldest.IsZero() && l.Waiting.Readings > 0 {
		fmt.Fprintf(w, ", the oldest %s old", words.Ago(s.Now.Sub(q.Oldest)))
	}
	if s.Offline > 0 {
		fmt.Fprintf(w, "\n         you can be offline for about %s, at this rate", words.Days(s.Offline))
	}
	tenths := func(d time.Duration) setting.Duration { return setting.Duration(d.Round(100 * time.Millisecond)) }
	fmt.Fprint(w, "\n         "+powerCut(s.Conditions, tenths(q.PowerCut).String()))
	if b := q.Flash; b != nil {
		fmt.Fprintf(w, "\n         store.flash_budget %s: %s of %s are left, commits come at least %s apart", b.Budget,
			words.Bytes(max(b.Left, 0)), words.Bytes(b.Most), tenths(b.Pace))
	}
	fmt.Fprintf(w, "\n         since the start: %s accepted, %s found, %s acknowledged, %s dropped, %s damaged; %s "+
		"dead letters\n",
		words.Thousands(l.Accepted.Readings), words.Thousands(l.Restored.Readings), words.Thousands(l.Acked.Readings),
		words.Thousands(l.Dropped.Readings), words.Thousands(l.Damaged.Readings), words.Thousands(l.Dead.Readings))
	if l.Thinned.Readings > 0 || l.Merged.Readings > 0 {
		fmt.Fprintf(w, "         aggregates have taken the place of %s readings, to make room\n",
			words.Thousands(l.Thinned.Readings))
	}
}

// powerCut says what a power cut takes: what is not on disk yet, which has a bound only
// where it can be written, and which has a disk.
func powerCut(conditions []condition.Condition, most string) string {
	for _, c := range conditions {
		switch c.Code {
		case condition.QueueUnwritable.Code:
			return "a power cut now takes all readings since the queue could be written last"
		case condition.QueueMisplaced.Code:
			return "what a power cut takes hangs on where the queue lies: see below"
		}
	}
	return "a power cut now takes at most " + most + " of polled readings"
}

func printBuses(w io.Writer, buses []bridge.BusStatus) {
	if len(buses) == 0 {
		return
	}
	fmt.Fprintln(w, "\nbuses")
	t := words.NewColumns(w)
	for _, b := range buses {
		state := fmt.Sprintf("load %.0f %%", 100*b.Load)
		if !b.Down.IsZero() {
			state = paint.Bad(w, "down")
		} else if !b.Silent.IsZero() {
			state = paint.Bad(w, "no unit answers")
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s requests\t%s late cycles\t%s\n", b.Bus, b.Address, state,
			words.Thousands(b.Requests), words.Thousands(b.Late), b.Detail)
	}
	_ = t.Flush()
}

func printDevices(w io.Writer, s control.Status) {
	if len(s.Devices) == 0 {
		return
	}
	fmt.Fprintln(w, "\ndevices")
	t := words.NewColumns(w)
	for _, d := range s.Devices {
		state := fmt.Sprintf("%d good", d.Good)
		if d.Bad > 0 {
			state += ", " + paint.Bad(w, fmt.Sprintf("%d bad: %s", d.Bad, cmp.Or(d.Reason, "unknown")))
		}
		last := "not since the start"
		if !d.Last.IsZero() {
			last = words.Ago(s.Now.Sub(d.Last)) + " ago"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", d.Device, d.Via, state, last, d.Detail)
	}
	_ = t.Flush()
}

// Commands says it for people.
func Commands(s remote.CommandStatus, running bool) string {
	var text string
	switch {
	case s.Off && running:
		text = fmt.Sprintf("off since %s: none is under way, and none will be carried out until 'fieldbridge commands "+
			"on', over restarts, too", s.Since.Local().Format(time.DateTime))
	case s.Off:
		text = fmt.Sprintf("off since %s: no gateway is running; when it starts, none will be carried out until "+
			"'fieldbridge commands on'", s.Since.Local().Format(time.DateTime))
	case !running:
		text = "on, as far as they are configured; no gateway is running"
	case len(s.Ways) == 0:
		text = "on, but none are configured: see northbound.awsiot.commands"
	default:
		text = "on, by " + strings.Join(s.Ways, ", ")
	}
	return "commands of the cloud are " + text
}

// printSwitch tells whether the cloud may command the gateway, and what it
// changed for a while.
func printSwitch(w io.Writer, s control.Status) {
	switch {
	case s.Commands.Off:
		fmt.Fprintf(w, "commands switched off on the machine for %s: 'fieldbridge commands on' lets them in again\n",
			words.Ago(s.Now.Sub(s.Commands.Since)))
	case len(s.Commands.Ways) > 0:
		fmt.Fprintf(w, "commands by %s\n", strings.Join(s.Commands.Ways, ", "))
	}
	for _, i := range s.Intervals {
		fmt.Fprintf(w, "         %s is polled every %v instead of %v for %s more\n", i.Device, i.Every, i.Usual,
			words.Ago(i.Until.Sub(s.Now)))
	}
}

// printJob tells of the job under way, or how the last one ended.
func printJob(w io.Writer, s *control.Status) {
	switch j := s.Jobs; {
	case j == nil:
	case j.ID != "" && j.Owed:
		fmt.Fprintf(w, "job      %s (%s) is done, the cloud does not know it yet\n", j.ID, j.Operation)
	case j.ID != "":
		step := ""
		if j.Step != "" {
			step = ", step " + j.Step
		}
		if j.Percent > 0 {
			step += fmt.Sprintf(", %d %%", j.Percent)
		}
		fmt.Fprintf(w, "job      %s (%s) for %s%s\n", j.ID, j.Operation, words.Ago(s.Now.Sub(j.Since)), step)
	case j.Last != nil:
		text := strings.ToLower(string(j.Last.Status))
		if j.Last.RolledBack {
			text += ", what ran before runs again"
		}
		if j.Last.Error != "" {
			text += ": " + j.Last.Error
		}
		fmt.Fprintf(w, "job      %s (%s) %s, %s ago\n", j.Last.ID, j.Last.Operation, text,
			words.Ago(s.Now.Sub(j.Last.At)))
	}
}
