package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"fieldbridge/gateway/support"
)

// supportCommand packs what explains a gateway.
func supportCommand() *cobra.Command {
	c := newCommand("support FILE.zip [FILE | DIR] [--gateway NAME]",
		"pack what explains a gateway, whether it runs or not: status, log, last frames, configuration without secrets", 2)
	name := c.Flags().String("gateway", "", "the `NAME` of the gateway in a fleet file")
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("into which file? 'fieldbridge support FILE.zip CONFIGURATION'"))
		}
		o := support.Options{Gateway: *name, Version: version, Dir: "queue"}
		if len(args) == 2 {
			dir, err := queueDir(ctx, args[1:])
			if err != nil && dir == "" {
				fmt.Fprintf(stderr, "the configuration does not say where the queue is, ./queue is looked at: %v\n", err)
			} else {
				o.Dir = dir
			}
			if info, err := os.Stat(args[1]); err == nil && !info.IsDir() {
				o.File = args[1]
			}
		}
		return packSupport(ctx, args[0], o, stderr)
	})
}

// packSupport packs it into a file that was not there.
func packSupport(ctx context.Context, file string, o support.Options, stderr io.Writer) error {
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return misuse(fmt.Errorf("%s is there already: name another file", file))
	}
	if err != nil {
		return err
	}
	missing, err := support.Pack(ctx, w, o)
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	for _, m := range missing {
		fmt.Fprintf(stderr, "not in it: %s\n", m)
	}
	fmt.Fprintf(stderr, "%s is written; README.txt in it says what it holds. It has no keys, no passwords and no "+
		"payloads.\n",
		file)
	return nil
}
