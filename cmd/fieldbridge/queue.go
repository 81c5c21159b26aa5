package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/setting"
	"fieldbridge/store/folder"
)

// queueCommand looks at a queue and changes it.
func queueCommand() *cobra.Command {
	return group("queue COMMAND [FILE | DIR]", "inspect, verify, export and purge a queue and its dead letters",
		"It works on a running gateway and on the folder of a stopped one.",
		queueDoes(control.Inspect, "inspect", "what is in the queue, segment by segment"),
		queueDoes(control.Verify, "verify", "read all of it and say what is damaged"),
		queueExportCommand(),
		queueDoes(control.Purge, "purge", "drop everything that waits (asks)"),
		group("dead COMMAND [FILE | DIR]", "list, retry or purge what the cloud refused for good", "",
			queueDoes(control.DeadList, "list", "what the cloud refused for good"),
			queueDoes(control.DeadRetry, "retry", "queue it once more"),
			queueDoes(control.DeadPurge, "purge", "drop it (asks)")))
}

// queueDoes is a command that does op.
func queueDoes(op control.Op, name, summary string) *cobra.Command {
	r := control.Queue{Op: op}
	c := newCommand(name+" [FILE | DIR] [--json]", summary, 1)
	asJSON := c.Flags().Bool("json", false, "print it as JSON")
	yes := c.Flags().Bool("yes", false, "do not ask")
	c.Flags().IntVar(&r.Limit, "limit", 100, "how many dead letters to list")
	gateway := c.Flags().String("gateway", "", gatewayHelp)
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return queueDo(ctx, r, args, *gateway, *asJSON, *yes, stdout, stderr)
	})
}

// queueDo does everything but export.
func queueDo(ctx context.Context, r control.Queue, args []string, gateway string, asJSON, yes bool, stdout,
	stderr io.Writer) error {
	at, err := findQueue(ctx, args, gateway)
	if err != nil {
		return misuse(err)
	}
	if (r.Op == control.Purge || r.Op == control.DeadPurge) && !yes && !confirmed(os.Stdin, stderr, at) {
		fmt.Fprintln(stderr, "nothing is changed")
		return exit(exitFailed)
	}
	var answer bytes.Buffer
	if _, err := at.Do(ctx, r, &answer, stderr); err != nil {
		return err
	}
	text := stdout
	if asJSON {
		if _, err := stdout.Write(answer.Bytes()); err != nil {
			return err
		}
		text = io.Discard
	}
	return printQueueAnswer(r.Op, answer.Bytes(), text, stderr)
}

// confirmed asks a person whether to drop readings.
func confirmed(in *os.File, stderr io.Writer, at control.At) bool {
	if !term.IsTerminal(int(in.Fd())) {
		fmt.Fprintln(stderr, "fieldbridge queue: this drops readings for good, and there is no terminal to ask at: add "+
			"--yes if it is meant")
		return false
	}
	fmt.Fprintf(stderr, "This drops readings in %s for good; the cloud is told what is missing. Type yes: ", at.Store.Dir)
	line, _ := bufio.NewReader(in).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

// printQueueAnswer tells an answer to a person.
func printQueueAnswer(op control.Op, answer []byte, stdout, stderr io.Writer) error {
	var err error
	switch op {
	case control.Inspect:
		var r folder.Report
		if err = json.Unmarshal(answer, &r); err == nil {
			printReport(stdout, r)
		}
	case control.Verify:
		var all []control.Verified
		if err = json.Unmarshal(answer, &all); err == nil {
			return printVerified(stdout, stderr, all)
		}
	case control.DeadList:
		var list control.DeadLetters
		if err = json.Unmarshal(answer, &list); err == nil {
			printDead(stdout, stderr, list)
		}
	default:
		var n bridge.Count
		if err = json.Unmarshal(answer, &n); err == nil {
			done := "dropped"
			if op == control.DeadRetry {
				done = "queued again"
			}
			fmt.Fprintf(stdout, "%s batches of %s readings %s\n", words.Thousands(n.Batches), words.Thousands(n.Readings), done)
		}
	}
	if err != nil {
		return fmt.Errorf("the gateway's answer cannot be read: %v: is it of another version?", err)
	}
	return nil
}

// printVerified tells of each file, and of those in quarantine what can still be
// read: their loss was told when they were set aside.
func printVerified(stdout, stderr io.Writer, all []control.Verified) error {
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
	if damaged > 0 {
		return exit(exitFailed)
	}
	return nil
}

func printDead(stdout, stderr io.Writer, list control.DeadLetters) {
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, l := range list.Letters {
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

// printReport tells a person what is in the queue.
func printReport(w io.Writer, r folder.Report) {
	fmt.Fprintf(w, "%s: %s batches of %s readings wait, %s dead letters\n", r.Dir, words.Thousands(r.Waiting.Batches),
		words.Thousands(r.Waiting.Readings),
		words.Thousands(r.Dead.Batches))
	fmt.Fprintf(w, "%s on disk", words.Bytes(r.Bytes))
	if r.MaxSize > 0 {
		fmt.Fprintf(w, " of %s", words.Bytes(r.MaxSize))
	}
	if r.BytesPerReading > 0 {
		fmt.Fprintf(w, ", %.2f bytes a reading", r.BytesPerReading)
	}
	if r.FullIn > 0 {
		fmt.Fprintf(w, ", at this rate full in %s", words.Ago(r.FullIn))
	}
	fmt.Fprintln(w)
	if len(r.Segments) > 0 {
		fmt.Fprintln(w)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, s := range r.Segments {
		if i == 0 {
			fmt.Fprintln(table, "SEGMENT\tPOSITIONS\tREADINGS\tWAITING\tSIZE\tOLDEST\tNEWEST\tAGE")
		}
		if s.Damage != "" {
			fmt.Fprintf(table, "%s\tdamaged: %s\n", s.File, s.Damage)
			continue
		}
		fmt.Fprintf(table, "%s\t%d-%d\t%s\t%s\t%s\t%s\t%s\t%s\n", s.File, s.First, s.Last,
			words.Thousands(s.Written.Readings), words.Thousands(s.Waiting.Readings),
			words.Bytes(s.Bytes), s.Oldest.UTC().Format(time.RFC3339), s.Newest.UTC().Format(time.RFC3339), words.Ago(s.Age))
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
		fmt.Fprintf(w, "\n%s, the cloud is not yet told: run %s seq %d to %s, %s readings: %s", what, t.Run, t.First, last,
			words.Thousands(t.Count.Readings), t.Cause)
	}
	if len(r.Tombstones) > 0 {
		fmt.Fprintln(w)
	}
}

// findQueue returns the queue that the argument names: a configuration, the
// folder itself, or nothing for ./queue.
func findQueue(ctx context.Context, args []string, gateway string) (at control.At, err error) {
	at.Store.SetDefaults()
	at.Gateway = gateway
	if len(args) == 0 {
		return at, nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return at, err
	}
	if info.IsDir() {
		at.Store.Dir = setting.Path(args[0])
		return at, nil
	}
	if loaded, err := configs.LoadGateway(ctx, args[0], gateway); err == nil {
		return control.At{Gateway: loaded.Config.Gateway, Store: loaded.Config.Store, Limits: true}, nil
	}
	dir := configs.QueueDir(ctx, args[0], gateway) // the file may be wrong elsewhere
	if dir == "" {
		return at, fmt.Errorf("%s: it does not say where the queue is: run 'fieldbridge check %s'", args[0], args[0])
	}
	at.Store.Dir = setting.Path(dir)
	return at, nil
}

// gatewayHelp tells of the flag that all of queue have.
const gatewayHelp = "`NAME` of the gateway in a fleet file, and in exports from a folder"
