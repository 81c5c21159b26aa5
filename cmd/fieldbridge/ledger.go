package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/ledger"
)

const ledgerNotes = `Reads what a gateway has sent, one message a line, and tells of each run what arrived, what
came twice, and what is missing and why. Without FILE, or for -, it reads standard input. Lines are what one of these
prints:

  mosquitto_sub -t '#' -F '%t %p'     topic and payload
  mosquitto_sub -t '#' -F '%j'        an object with the payload in it
  mosquitto_sub -t '#'                payloads alone

It needs the readings and the status topic. Exit code 1: a batch is missing that nothing names, or one came with two
contents.`

// ledgerCommand checks the promise by what has arrived at the cloud.
func ledgerCommand() *cobra.Command {
	c := newCommand("ledger [--partial] [--json] [FILE ...]",
		"check by the cloud's messages alone that nothing is missing silently", math.MaxInt)
	c.Long = ledgerNotes
	asJSON := c.Flags().Bool("json", false, "print it for programs")
	partial := c.Flags().Bool("partial", false,
		"the messages begin in the middle of a run: what is missing before its first is not a gap")
	return does(c, func(ctx context.Context, files []string, stdout, _ io.Writer) error {
		return judge(ctx, ledger.Ledger{Partial: *partial}, files, *asJSON, c.InOrStdin(), stdout)
	})
}

// judge has l judge what the files hold.
func judge(ctx context.Context, l ledger.Ledger, files []string, asJSON bool, stdin io.Reader, stdout io.Writer) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, file := range files {
		if err := readLedger(ctx, &l, file, stdin); err != nil {
			return err
		}
	}
	r := l.Report()
	if asJSON {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s\n", data)
	} else {
		tell.Ledger(stdout, r)
	}
	switch {
	case len(r.Runs) == 0:
		return errors.New("there are no messages of a gateway: this reads payloads as they were sent, one a line")
	case !r.Kept:
		return exit(exitFailed)
	}
	return nil
}

func readLedger(ctx context.Context, l *ledger.Ledger, file string, stdin io.Reader) error {
	if file == "-" {
		return l.Read(ctx, "standard input", stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return misuse(err)
	}
	if is, err := f.Stat(); err == nil && is.IsDir() {
		_ = f.Close()
		return misuse(fmt.Errorf("%s is a folder: name a file", file))
	}
	defer func() { _ = f.Close() }()
	return l.Read(ctx, file, f)
}
