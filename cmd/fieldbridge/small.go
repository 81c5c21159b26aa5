//go:build small

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// extent stands behind the version, so that who reads it knows.
const extent = " small"

// workshop returns a command that says that it is not here and where it is.
func workshop(name string) *cobra.Command {
	c := &cobra.Command{Use: name, Short: "not in this small build", Hidden: true, DisableFlagParsing: true}
	return does(c, func(context.Context, []string, io.Writer, io.Writer) error {
		return misuse(fmt.Errorf("this is the small build, which leaves out 'fieldbridge %s': "+
			"run it with the whole fieldbridge, on a laptop or on this machine; its files are the same", name))
	})
}
