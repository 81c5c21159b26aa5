package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// mark is a place in the stand-in's record.
func (d *demo) mark() int { return len(d.account.Jobs.Record()) }

// terminal reports whether an execution has ended.
func terminal(s jobs.Status) bool { return s != jobs.Queued && s != jobs.InProgress }

// since waits until no execution is under way, and compares how they have ended since
// a mark with how they must: n of them so. AWS lets go on what has begun when it cancels
// a job after the first failure; what has not begun is cancelled, and counts as well.
func (d *demo) since(mark, n int, how jobs.Status) error {
	err := d.eventually("no execution is under way", settled, func() (bool, error) {
		now := map[[2]string]jobs.Status{}
		for _, e := range d.account.Jobs.Record() {
			now[[2]string{e.Job, e.Thing}] = e.Status
		}
		for _, s := range now {
			if !terminal(s) {
				return false, nil
			}
		}
		return true, nil
	})
	got := map[jobs.Status]int{}
	for _, e := range d.account.Jobs.Record()[mark:] {
		if terminal(e.Status) {
			got[e.Status]++
		}
	}
	as, all := got[how], 0
	for _, n := range got {
		all += n
	}
	if how != jobs.Succeeded {
		as += got[jobs.Canceled]
	}
	d.mustBe(err != nil || as == n && all == n && (n == 0 || got[how] > 0), "executions ended as %v, not %d as %s", got, n,
		how)
	return err
}

// entry is a line of the record.
type entry struct {
	at   time.Time
	text string
}

// span is by how many gateways, and from when to when, something was run.
type span struct {
	gateways    map[string]bool
	first, last time.Time
	now         int // gateways that run it still
}

// count prints what the stand-in has recorded: of each gateway how its jobs ended, and
// what it said that it runs, with the times; in the last line how many ran what, when.
func (d *demo) count() {
	d.head("what the stand-in has recorded: which gateway ran what, when")
	lines := map[string][]entry{}
	ended := map[jobs.Status]int{}
	for _, e := range d.account.Jobs.Record() {
		if terminal(e.Status) {
			ended[e.Status]++
			text := strings.ToLower(string(e.Status)) + " " + strings.TrimPrefix(e.Job, "fieldbridge-")
			if to := e.Details["to"]; to != "" {
				text += ": " + cmp.Or(d.named[to], to)
			}
			lines[e.Thing] = append(lines[e.Thing], entry{e.At, text})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	spans := map[string]*span{}
	for name, all := range d.births {
		for i, b := range all {
			what := d.tells(b)
			if i == 0 || what != d.tells(all[i-1]) {
				lines[name] = append(lines[name], entry{b.at, "runs " + strings.TrimSuffix(what, ",")})
			}
			until := time.Now()
			if i+1 < len(all) {
				until = all[i+1].at
			}
			spans[what] = spans[what].with(name, b.at, until)
			if i+1 == len(all) {
				spans[what].now++
			}
		}
	}
	table := tabwriter.NewWriter(d.w, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		slices.SortFunc(lines[name], func(a, b entry) int { return a.at.Compare(b.at) })
		who := name
		for _, l := range lines[name] {
			fmt.Fprintf(table, "%s\t%s\t%s\n", who, l.at.Format(time.TimeOnly), l.text)
			who = ""
		}
	}
	_ = table.Flush()
	for _, s := range slices.Sorted(maps.Keys(ended)) {
		fmt.Fprintf(d.w, "%d executions of jobs have %s\n", ended[s], strings.ToLower(string(s)))
	}
	alike := func(s *span) bool { return s.now == len(d.gateways) }
	d.mustBe(slices.ContainsFunc(slices.Collect(maps.Values(spans)), alike), "not all gateways run the same at the end")
	fmt.Fprintln(d.w, summary(len(d.births), spans))
}

// summary tells in a line how many gateways ran what, when.
func summary(gateways int, spans map[string]*span) string {
	text := fmt.Sprintf("%d gateways", gateways)
	sooner := func(a, b string) int { return spans[a].first.Compare(spans[b].first) }
	for _, what := range slices.SortedFunc(maps.Keys(spans), sooner) {
		s := spans[what]
		text += fmt.Sprintf("; %d ran %s %s to ", len(s.gateways), what, s.first.Format(time.TimeOnly))
		if s.now > 0 {
			text += fmt.Sprintf("now (%d)", s.now)
		} else {
			text += s.last.Format(time.TimeOnly)
		}
	}
	return text
}

// with counts a gateway that ran it from a time to another.
func (s *span) with(gateway string, from, to time.Time) *span {
	if s == nil {
		s = &span{gateways: map[string]bool{}, first: from, last: to}
	}
	s.gateways[gateway] = true
	if from.Before(s.first) {
		s.first = from
	}
	if to.After(s.last) {
		s.last = to
	}
	return s
}

// tells tells what a gateway runs.
func (d *demo) tells(b birth) string {
	return fmt.Sprintf("%s, %q,", b.version, cmp.Or(d.named[b.config], b.config))
}
