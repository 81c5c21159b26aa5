// Command demo operates a fleet on this machine as it is operated in the field: from a
// git repository, by the operator's tool, to real gateway processes, with the stand-in
// for AWS IoT Core between them (`make fleet-demo`). It prints what the operator sees,
// and at its end what the stand-in has recorded of each gateway.
//
// Its exit code is 1 if anything was not as it must be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var o options
	flag.IntVar(&o.gateways, "gateways", 20, "how many gateways, 3 to 100")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder with all files and logs")
	flag.Parse()
	if flag.NArg() > 0 || o.gateways < 3 || o.gateways > 100 {
		fmt.Fprintln(os.Stderr, "fleet-demo: --gateways is 3 to 100, and there are no arguments")
		os.Exit(2)
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleet-demo:", err)
		os.Exit(1)
	}
}

// options say what is shown.
type options struct {
	gateways int
	keep     bool
	brief    bool // only the first scenes
}

// run shows everything, and says what was not as it must be.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	// A short path: the gateways' sockets lie below it, and theirs have 107 bytes at most.
	dir, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		return err
	}
	defer func() {
		if o.keep {
			fmt.Fprintln(w, "everything lies in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	d, err := newDemo(ctx, o, dir, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	scenes := d.scenes()
	if o.brief {
		scenes = scenes[:quick]
	}
	for _, s := range scenes {
		d.head(s.title)
		if err := s.play(); err != nil {
			return err
		}
	}
	d.count()
	if len(d.wrong) > 0 {
		for _, g := range d.gateways {
			fmt.Fprintf(w, "\n%s said at last:\n%s\n", g.name, g.last())
		}
		return fmt.Errorf("%d things were not as they must be, the first: %s", len(d.wrong), d.wrong[0])
	}
	return nil
}
