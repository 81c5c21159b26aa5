// Command fieldbridge runs the gateway and helps to set it up.
//
// Each subcommand is one file: flags in, words out. Human output goes to stderr,
// data to stdout; exitCodes says what the exit codes mean.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/complete"
	"fieldbridge/cmd/fieldbridge/manual"
	"fieldbridge/cmd/fieldbridge/words"
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
		workshop("demo"), workshop("init"), checkCommand(), testCommand(), identityCommand(), workshop("fleet"),
		runCommand(), reloadCommand(), updateCommand(), connectCommand(), statusCommand(), valuesCommand(), commandsCommand(),
		sensorsCommand(), queueCommand(), workshop("ledger"), modbusCommand(), supportCommand(), workshop("profiles"),
		workshop("cloud"), workshop("decode"), versionCommand(), helpCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetHelpCommand(subcommand(root, "help"))
	root.SetHelpFunc(help)
	root.SetFlagErrorFunc(flagError)
	manual.Add(root)
	complete.Add(root)
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
	root.InitDefaultCompletionCmd("") // it keeps where it prints, so it comes after that is set
	if c := subcommand(root, "completion"); c != nil {
		lists(c) // it would print its help for a shell that it does not know
	}
	root.SetArgs(normal(root, args))
	command, err := root.ExecuteContextC(ctx)
	return exitCode(command, err)
}

// version is set by the linker (Makefile).
var version = "dev"

func versionCommand() *cobra.Command {
	c := newCommand("version [--json]", "print the version", 0)
	asJSON := c.Flags().Bool("json", false, "print it for programs")
	return does(c, func(_ context.Context, _ []string, stdout, _ io.Writer) error {
		if *asJSON {
			return words.JSON(stdout, map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS,
				"architecture": runtime.GOARCH})
		}
		fmt.Fprintf(stdout, "fieldbridge %s%s %s %s/%s\n", version, extent, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	})
}
