package tell

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/store/folder"
)

// settled is how large a queue is before its bytes a reading say something: a file
// grows in steps.
const settled = 4 << 20

// inMemory returns how many readings wait that no segment has, and no journal of a
// killed gateway.
func inMemory(r *folder.Report) uint64 {
	n := r.Journal.Readings
	for _, s := range r.Segments {
		if s.Damage != "" {
			return 0 // what it has is not known
		}
		n += s.Waiting.Readings
	}
	return r.Waiting.Readings - min(n, r.Waiting.Readings)
}

// Queue tells a person what is in the queue.
func Queue(w io.Writer, r folder.Report) {
	fmt.Fprintf(w, "%s: %s batches of %s readings wait, %s dead letters\n", r.Dir, words.Thousands(r.Waiting.Batches),
		words.Thousands(r.Waiting.Readings),
		words.Thousands(r.Dead.Batches))
	if len(r.Gateways) > 0 {
		fmt.Fprintf(w, "measured by %s\n", strings.Join(r.Gateways, ", then by "))
	}
	if r.Journal.Batches > 0 {
		fmt.Fprintf(w, "%s batches of %s readings of them are in shared memory alone, as a killed gateway left them: its "+
			"next "+
			"start\nputs them on disk, without one they are gone when the machine stops\n",
			words.Thousands(r.Journal.Batches), words.Thousands(r.Journal.Readings))
	}
	if n := inMemory(&r); n > 0 {
		fmt.Fprintf(w, "%s readings of them are in memory, and not on disk yet\n", words.Thousands(n))
	}
	if r.JournalUnread != "" {
		fmt.Fprintf(w, "what a killed gateway may have left in shared memory cannot be read: %s\n", r.JournalUnread)
	}
	fmt.Fprintf(w, "%s on disk", words.Bytes(r.Bytes))
	if r.MaxSize > 0 {
		fmt.Fprintf(w, " of %s", words.Bytes(r.MaxSize))
	}
	if r.BytesPerReading > 0 && r.Bytes >= settled {
		fmt.Fprintf(w, ", %.2f bytes a reading", r.BytesPerReading)
	}
	if r.FullIn > 0 {
		fmt.Fprintf(w, ", at this rate full in %s", words.Ago(r.FullIn))
	}
	fmt.Fprintln(w)
	if len(r.Segments) > 0 {
		fmt.Fprintln(w)
	}
	table := words.NewColumns(w)
	several := len(r.Gateways) > 1
	for i, s := range r.Segments {
		if i == 0 {
			fmt.Fprint(table, "SEGMENT\tPOSITIONS\tREADINGS\tWAITING\tSIZE\tOLDEST\tNEWEST\tAGE")
			if several {
				fmt.Fprint(table, "\tMEASURED BY")
			}
			fmt.Fprintln(table)
		}
		if s.Damage != "" {
			fmt.Fprintf(table, "%s\tdamaged: %s\n", s.File, s.Damage)
			continue
		}
		fmt.Fprintf(table, "%s\t%d-%d\t%s\t%s\t%s\t%s\t%s\t%s", s.File, s.First, s.Last,
			words.Thousands(s.Written.Readings), words.Thousands(s.Waiting.Readings),
			words.Bytes(s.Bytes), s.Oldest.UTC().Format(time.RFC3339), s.Newest.UTC().Format(time.RFC3339), words.Ago(s.Age))
		if s.Thinned > 0 {
			fmt.Fprint(table, ", thinned")
		}
		if several {
			fmt.Fprint(table, "\t", strings.Join(s.Gateways, ", "))
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
	for i, t := range r.Tombstones {
		if i == maxGaps {
			fmt.Fprintf(w, "\nand %s more: --json tells all", words.Thousands(uint64(len(r.Tombstones)-i)))
			break
		}
		last := "the end"
		if t.Last != 0 {
			last = strconv.FormatUint(t.Last, 10)
		}
		what := "missing"
		if t.Cause == "dead" {
			what = "refused by the cloud for good"
		}
		if t.Cause == "thinned" {
			what = "replaced by aggregates"
		}
		of := ""
		if t.Gateway != "" {
			of = " of " + t.Gateway
		}
		fmt.Fprintf(w, "\n%s, the cloud is not yet told: run %s%s seq %d to %s, %s readings: %s", what, t.Run, of, t.First,
			last, words.Thousands(t.Count.Readings), t.Cause)
	}
	if len(r.Tombstones) > 0 {
		fmt.Fprintln(w)
	}
}

// Verified tells of each file, and of those in quarantine what can still be
// read: their loss was told when they were set aside. whole is that nothing else is
// damaged.
func Verified(stdout, stderr io.Writer, all []control.Verified) (whole bool) {
	damaged, aside := 0, 0
	for _, v := range all {
		switch {
		case v.Damage != "":
			damaged++
			fmt.Fprintf(stdout, "%s  damaged: %s\n", v.File, v.Damage)
		case v.Quarantine:
			aside++
			fmt.Fprintf(stdout, "%s  set aside, %s, %s batches of %s readings can be read\n", v.File, words.Bytes(v.Bytes),
				words.Thousands(v.Count.Batches), words.Thousands(v.Count.Readings))
		default:
			fmt.Fprintf(stdout, "%s  right, %s, %s batches of %s readings\n", v.File, words.Bytes(v.Bytes),
				words.Thousands(v.Count.Batches), words.Thousands(v.Count.Readings))
		}
	}
	fmt.Fprintf(stderr, "%d files read, %d damaged, %d in quarantine\n", len(all), damaged, aside)
	return damaged == 0
}

func Dead(stdout, stderr io.Writer, list control.DeadLetters) {
	t := words.NewColumns(stdout)
	known := slices.ContainsFunc(list.Letters, func(l control.DeadLetter) bool { return l.Gateway != "" })
	for _, l := range list.Letters {
		if known {
			fmt.Fprintf(t, "%s\t", cmp.Or(l.Gateway, "-"))
		}
		fmt.Fprintf(t, "%s %d\t%s\t%s\t%d readings\t%s\n", l.Run, l.Seq, l.Device, l.At.UTC().Format(time.RFC3339),
			l.Readings, l.Cause)
	}
	_ = t.Flush()
	if n := uint64(len(list.Letters)); n < list.Total.Batches {
		fmt.Fprintf(stderr, "the oldest %s of %s dead letters: --limit lists more\n", words.Thousands(n),
			words.Thousands(list.Total.Batches))
		return
	}
	fmt.Fprintf(stderr, "%s dead letters\n", words.Thousands(list.Total.Batches))
}
