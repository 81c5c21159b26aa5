package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"fieldbridge/bridge"
	"fieldbridge/bridge/setting"
	"fieldbridge/store"
)

const queueUsage = `Usage: fieldbridge queue COMMAND [FILE | DIR]

  inspect      what is in the queue, segment by segment
  verify       read all of it and say what is damaged
  export       write what waits to a file: --since --until --device --format --output
  purge        drop everything that waits (asks)
  dead list    what the cloud refused for good
  dead retry   queue it once more
  dead purge   drop it (asks)

It works on a running gateway and on the folder of a stopped one.
`

// runQueue looks at a queue and changes it.
func runQueue(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 1 && args[0] == "dead" {
		args = append([]string{"dead-" + args[1]}, args[2:]...)
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, queueUsage)
		return exitUsage
	}
	switch op := args[0]; op {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(stdout, queueUsage)
		return exitDone
	case "export":
		return queueExport(ctx, args[1:], stdout, stderr)
	case "inspect", "verify", "purge", "dead-list", "dead-retry", "dead-purge":
		return queueDo(ctx, op, args[1:], stdout, stderr)
	}
	fmt.Fprintf(stderr, "fieldbridge queue: no command %q\n%s", strings.Replace(args[0], "dead-", "dead ", 1), queueUsage)
	return exitUsage
}

// queueDo does everything but export.
func queueDo(ctx context.Context, op string, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("queue", stderr)
	asJSON := flags.Bool("json", false, "print it as JSON")
	yes := flags.Bool("yes", false, "do not ask")
	gateway := queueFlags(flags)
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	at, err := findQueue(rest, *gateway)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge queue: %v\n", err)
		return exitUsage
	}
	if strings.HasSuffix(op, "purge") && !*yes && !confirmed(os.Stdin, stderr, at) {
		fmt.Fprintln(stderr, "nothing is changed")
		return exitFailed
	}
	var answer bytes.Buffer
	if _, err := at.do(ctx, queueRequest{op: op}, &answer, stderr); err != nil {
		fmt.Fprintf(stderr, "fieldbridge queue: %v\n", err)
		return exitFailed
	}
	if *asJSON {
		stdout.Write(answer.Bytes())
		return exitDone
	}
	return printQueueAnswer(op, answer.Bytes(), stdout, stderr)
}

// confirmed asks a person whether to drop readings.
func confirmed(in *os.File, stderr io.Writer, at queueAt) bool {
	if !term.IsTerminal(int(in.Fd())) {
		fmt.Fprintln(stderr, "fieldbridge queue: this drops readings for good: say --yes")
		return false
	}
	fmt.Fprintf(stderr, "This drops readings in %s for good; the cloud is told what is missing. Type yes: ", at.store.Dir)
	line, _ := bufio.NewReader(in).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

// printQueueAnswer tells an answer to a person.
func printQueueAnswer(op string, answer []byte, stdout, stderr io.Writer) int {
	var err error
	code := exitDone
	switch op {
	case "inspect":
		var r store.Report
		if err = json.Unmarshal(answer, &r); err == nil {
			printReport(stdout, r)
		}
	case "verify":
		var all []verified
		if err = json.Unmarshal(answer, &all); err == nil {
			for _, v := range all {
				if v.Damage != "" {
					code = exitFailed
					fmt.Fprintf(stdout, "%s  damaged: %s\n", v.File, v.Damage)
				} else {
					fmt.Fprintf(stdout, "%s  right, %d bytes\n", v.File, v.Bytes)
				}
			}
			fmt.Fprintf(stderr, "%d segments read\n", len(all))
		}
	case "dead-list":
		var all []deadLetter
		if err = json.Unmarshal(answer, &all); err == nil {
			for _, l := range all {
				fmt.Fprintf(stdout, "%s %d  %s  %s  %d readings  %s\n", l.Run, l.Seq, l.Device, l.At.Format(time.RFC3339), l.Readings, l.Cause)
			}
			fmt.Fprintf(stderr, "%d dead letters\n", len(all))
		}
	default:
		var n bridge.Count
		if err = json.Unmarshal(answer, &n); err == nil {
			done := map[string]string{"purge": "dropped", "dead-purge": "dropped", "dead-retry": "queued again"}[op]
			fmt.Fprintf(stdout, "%d batches of %d readings %s\n", n.Batches, n.Readings, done)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge queue: the gateway's answer cannot be read: %v: is it of another version?\n", err)
		return exitFailed
	}
	return code
}

func printReport(w io.Writer, r store.Report) {
	fmt.Fprintf(w, "%s: %d batches of %d readings wait, %d dead letters, %s of %s on disk", r.Dir, r.Waiting.Batches, r.Waiting.Readings,
		r.Dead.Batches, setting.Size(r.Bytes), setting.Size(r.MaxSize))
	if r.BytesPerReading > 0 {
		fmt.Fprintf(w, ", %.2f bytes a reading", r.BytesPerReading)
	}
	if r.FullIn > 0 {
		fmt.Fprintf(w, ", at this rate full in %v", r.FullIn)
	}
	fmt.Fprint(w, "\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SEGMENT\tBATCHES\tREADINGS\tWAITING\tBYTES\tOLDEST\tNEWEST\tAGE")
	for _, s := range r.Segments {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%v\n", s.File, s.Written.Batches, s.Written.Readings, s.Waiting.Readings, s.Bytes,
			s.Oldest.Format(time.RFC3339), s.Newest.Format(time.RFC3339), s.Age.Round(time.Second))
		if s.Damage != "" {
			fmt.Fprintf(table, "  damaged: %s\n", s.Damage)
		}
	}
	table.Flush()
	for _, t := range r.Tombstones {
		fmt.Fprintf(w, "missing, not yet told: run %s seq %d to %d, %d readings: %s\n", t.Run, t.First, t.Last, t.Count.Readings, t.Cause)
	}
}

// queueExport writes what waits to a file.
func queueExport(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("queue", stderr)
	format := flags.String("format", "csv", strings.Join(store.ExportFormats, ", "))
	since := flags.String("since", "", "from this `TIME` on: 2026-11-23, 2026-11-23T08:00:00Z, or 36h ago")
	until := flags.String("until", "", "before this `TIME`")
	device := flags.String("device", "", "of this device only")
	output := flags.String("output", "", "the `FILE` to write; - or nothing is standard output")
	forget := flags.Bool("and-forget", false, "drop what was exported, once it is on disk: it is not sent to the cloud")
	gateway := queueFlags(flags)
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	at, err := findQueue(rest, *gateway)
	r := queueRequest{op: "export", format: *format, filter: store.Filter{Device: *device}}
	for text, t := range map[*string]*time.Time{since: &r.filter.Since, until: &r.filter.Until} {
		if *text != "" && err == nil {
			*t, err = store.ParseTime(*text, time.Now())
		}
	}
	if *forget && (*output == "" || *output == "-") && err == nil {
		err = errors.New("--and-forget needs --output FILE: what is dropped must be on disk")
	}
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge queue: %v\n", err)
		return exitUsage
	}
	if err := at.exportTo(ctx, r, *output, *forget, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "fieldbridge queue: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// exportTo writes an export to a file or stdout, and then, if forget is set and
// the file is on disk, drops what is in it.
func (at *queueAt) exportTo(ctx context.Context, r queueRequest, output string, forget bool, stdout, stderr io.Writer) error {
	w := stdout
	var f *os.File
	if output != "" && output != "-" {
		var err error
		if f, err = os.Create(output); err != nil {
			return err
		}
		defer f.Close()
		w = f
	}
	p := &exportBar{w: w, stderr: stderr}
	if e, ok := stderr.(*os.File); ok && f != nil && term.IsTerminal(int(e.Fd())) {
		p.total = at.expected(ctx, r)
	}
	through, err := at.do(ctx, r, p, stderr)
	p.end()
	if err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	// Some file systems of USB sticks cannot sync; then nothing is forgotten.
	if err := f.Sync(); err != nil && (forget || !errors.Is(err, syscall.EINVAL)) {
		return err
	}
	fmt.Fprintf(stderr, "%d lines written to %s\n", p.lines, output)
	if !forget || through == 0 {
		return nil
	}
	r.op, r.filter.Through = "forget", through
	var answer bytes.Buffer
	if _, err := at.do(ctx, r, &answer, stderr); err != nil {
		return err
	}
	var n bridge.Count
	if err := json.Unmarshal(answer.Bytes(), &n); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d batches of %d readings are forgotten\n", n.Batches, n.Readings)
	return nil
}

// expected returns how many lines an export has about.
func (at *queueAt) expected(ctx context.Context, r queueRequest) uint64 {
	var answer bytes.Buffer
	var report store.Report
	if _, err := at.do(ctx, queueRequest{op: "inspect"}, &answer, io.Discard); err != nil || json.Unmarshal(answer.Bytes(), &report) != nil {
		return 0
	}
	if r.format == "jsonl" {
		return report.Waiting.Batches
	}
	return report.Waiting.Readings
}

// exportBar passes an export on and draws a bar, if it knows the total.
type exportBar struct {
	w      io.Writer
	stderr io.Writer
	total  uint64
	lines  uint64
	drawn  time.Time
}

func (p *exportBar) Write(b []byte) (int, error) {
	p.lines += uint64(bytes.Count(b, []byte("\n")))
	if p.total > 0 && time.Since(p.drawn) > 100*time.Millisecond {
		p.drawn = time.Now()
		part := min(float64(p.lines)/float64(p.total), 1)
		fmt.Fprintf(p.stderr, "\r[%-40s] %3.0f %%", strings.Repeat("=", int(part*40)), part*100)
	}
	return p.w.Write(b)
}

// end takes the bar away.
func (p *exportBar) end() {
	if p.total > 0 {
		fmt.Fprintf(p.stderr, "\r%50s\r", "")
	}
}
