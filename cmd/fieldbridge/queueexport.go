package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/gateway/export"
	"fieldbridge/store/disk"
	"fieldbridge/store/folder"
)

// exporting is what an export is asked for.
type exporting struct {
	since, until string // times, as they are given
	output       string // the file, "" or - for stdout
	forget, yes  bool
	gateway      string
}

// queueExportCommand writes what waits to a file.
func queueExportCommand() *cobra.Command {
	c := newCommand("export [FILE | DIR] [flags]", "write what waits to a file", 1)
	r, x := control.Queue{Op: control.Export}, exporting{}
	f := c.Flags()
	f.StringVar(&r.Format, "format", "csv", strings.Join(export.Formats, ", "))
	f.StringVar(&x.since, "since", "", "from this `TIME` on: 2026-11-23, 2026-11-23T08:00:00Z, or 36h ago")
	f.StringVar(&x.until, "until", "", "before this `TIME`")
	f.StringVar(&r.Filter.Device, "device", "", "of this device only")
	f.StringVarP(&x.output, "output", "o", "",
		"the `FILE` to write, which must not exist; - or nothing is standard output")
	f.BoolVar(&x.forget, "and-forget", false, "drop what was exported, once it is on disk: it is not sent to the cloud")
	f.BoolVar(&x.yes, "yes", false, "do not ask before --and-forget drops")
	f.StringVar(&x.gateway, "gateway", "", gatewayHelp)
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return queueExport(ctx, args, r, x, stdout, stderr)
	})
}

func queueExport(ctx context.Context, args []string, r control.Queue, x exporting, stdout, stderr io.Writer) error {
	at, err := findQueue(ctx, args, x.gateway)
	for t, text := range map[*time.Time]string{&r.Filter.Since: x.since, &r.Filter.Until: x.until} {
		if text != "" && err == nil {
			*t, err = parseTime(text, time.Now())
		}
	}
	if x.forget && (x.output == "" || x.output == "-") && err == nil {
		err = errors.New("--and-forget needs --output FILE: what is dropped must be on disk")
	}
	if err != nil {
		return misuse(err)
	}
	if x.forget && !x.yes {
		n, whose, err := inQueue(ctx, at, false)
		if err != nil {
			return err
		}
		if !confirmed(os.Stdin, stderr, at, n, whose) {
			fmt.Fprintln(stderr, "nothing is exported")
			return exit(exitFailed)
		}
	}
	return exportTo(ctx, &at, r, x.output, x.forget, stdout, stderr)
}

// exportTo writes an export to a file or stdout, and then, if forget is set and
// the file is on disk, drops what is in it. The file has another name until it
// is complete.
func exportTo(ctx context.Context, at *control.At, r control.Queue, output string, forget bool, stdout,
	stderr io.Writer) error {
	w := stdout
	var f *os.File
	if output != "" && output != "-" {
		if _, err := os.Lstat(output); err == nil {
			return fmt.Errorf("%s is there already: name another file", output)
		}
		var err error
		if f, err = os.Create(output + partial); err != nil {
			return err
		}
		defer func() { _ = os.Remove(f.Name()) }()
		defer func() { _ = f.Close() }()
		w = f
	}
	p := &exportBar{w: w, stderr: stderr}
	if e, ok := stderr.(*os.File); ok && f != nil && term.IsTerminal(int(e.Fd())) {
		p.total = expected(ctx, at, r)
	}
	exported, err := at.Do(ctx, r, p, stderr)
	p.end()
	if err != nil {
		return err
	}
	headings := uint64(0)
	if r.Format == "csv" {
		headings = 1
	}
	if p.lines <= headings && exported.Unread == 0 {
		return nothingOf(r.Filter, at)
	}
	if exported.Unread > 0 {
		fmt.Fprintf(stderr, "%d segments or the journal could not be read in full and are not all in the file: see "+
			"'fieldbridge queue "+
			"verify', then export once more\n", exported.Unread)
	}
	if f == nil {
		return nil
	}
	// Some file systems of USB sticks cannot sync; then nothing is forgotten.
	if err := f.Sync(); err != nil && (forget || !errors.Is(err, syscall.EINVAL)) {
		return err
	}
	if err := errors.Join(f.Close(), os.Rename(f.Name(), output)); err != nil {
		return err
	}
	if err := disk.SyncDir(filepath.Dir(output)); err != nil && (forget || !errors.Is(err, syscall.EINVAL)) {
		return err
	}
	fmt.Fprintf(stderr, "%s lines written to %s\n", words.Thousands(p.lines), output)
	if !forget || len(exported.Ranges) == 0 {
		return nil
	}
	r.Op, r.Exported = control.Forget, exported
	var answer bytes.Buffer
	if _, err := at.Do(ctx, r, &answer, stderr); err != nil {
		return err
	}
	var n bridge.Count
	if err := json.Unmarshal(answer.Bytes(), &n); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s batches of %s readings are forgotten\n", words.Thousands(n.Batches),
		words.Thousands(n.Readings))
	return nil
}

// nothingOf says that an export is empty.
func nothingOf(f folder.Filter, at *control.At) error {
	switch {
	case f.Device != "" && (!f.Since.IsZero() || !f.Until.IsZero()):
		return fmt.Errorf("nothing of device %q and of that time waits in %s: check its name and the times", f.Device,
			at.Store.Dir)
	case f.Device != "":
		return fmt.Errorf("nothing of device %q waits in %s: check its name", f.Device, at.Store.Dir)
	case !f.Since.IsZero() || !f.Until.IsZero():
		return fmt.Errorf("nothing of that time waits in %s: 'fieldbridge queue inspect' tells from when what waits is",
			at.Store.Dir)
	}
	return fmt.Errorf("nothing waits in %s: what the cloud has acknowledged is not kept", at.Store.Dir)
}

// partial is the end of the name of a file that is not yet complete.
const partial = ".part"

// expected returns how many lines an export has about.
func expected(ctx context.Context, at *control.At, r control.Queue) uint64 {
	var answer bytes.Buffer
	var report folder.Report
	if _, err := at.Do(ctx, control.Queue{Op: control.Inspect}, &answer, io.Discard); err != nil ||
		json.Unmarshal(answer.Bytes(), &report) != nil {
		return 0
	}
	if r.Format == "jsonl" {
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

// parseTime reads the time of --since and --until: RFC 3339, a date, or a
// duration before now as 36h.
func parseTime(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write 2026-11-23T08:00:00Z, 2026-11-23 or 36h (ago)", s)
}
