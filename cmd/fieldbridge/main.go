// Command fieldbridge runs the gateway and helps to set it up.
//
// Each subcommand is one file: flags in, words out. Exit codes: 0 done, 1 failed,
// 2 wrong usage or configuration. Human output goes to stderr, data to stdout.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// tree returns all commands, in the order of their use by a newcomer.
func tree() *cobra.Command {
	root := group("fieldbridge COMMAND",
		"Fieldbridge takes the readings of Modbus devices and MQTT sensors to AWS IoT Core and loses none silently.", "",
		demoCommand(), initCommand(), checkCommand(), identityCommand(), fleetCommand(), runCommand(), reloadCommand(),
		statusCommand(), valuesCommand(), commandsCommand(), sensorsCommand(), queueCommand(), ledgerCommand(),
		modbusCommand(), cloudCommand(), versionCommand(), helpCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetHelpCommand(subcommand(root, "help"))
	root.SetHelpFunc(help)
	root.SetFlagErrorFunc(flagError)
	return root
}

// dispatch runs the command that args name.
func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "-version" || args[0] == "--version") {
		args = []string{"version"}
	}
	root := tree()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(normal(root, args))
	command, err := root.ExecuteContextC(ctx)
	return exitCode(command, err)
}
