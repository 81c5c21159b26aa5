package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/plain"
	"fieldbridge/setting"
)

// Exit codes (DESIGN §7).
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// exitCodes are what the exit codes mean: the same for every command.
var exitCodes = map[int]string{
	exitDone:   "done, and what was looked at is well",
	exitFailed: "failed, refused by a device, the gateway or the cloud, or what was looked at is not well",
	exitUsage:  "wrong usage or configuration: the command line, or a file that it names, is wrong, and nothing was begun",
}

// run does what a command is for, with its arguments, after its flags are read. An
// error is told as the command's and makes the exit code 1, if it is not one of
// those below.
type run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// exit is an exit code whose reason is told.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a mistake of who calls the program: exit code 2.
type usageError struct {
	error
	file bool // it says itself which file is wrong, and where
	more bool // the help tells more
}

func (e usageError) Unwrap() error { return e.error }

// misuse makes err a mistake in the arguments.
func misuse(err error) error { return usageError{error: err} }

// wrongFile makes err a mistake in a file.
func wrongFile(err error) error { return usageError{error: err, file: true} }

// newCommand returns a command that takes at most so many arguments. Its usage
// begins with its name; its flags are added to it, and what it does by [does].
func newCommand(usage, summary string, most int) *cobra.Command {
	return &cobra.Command{Use: usage, Short: summary, DisableFlagsInUseLine: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > most {
				return usageError{error: fmt.Errorf("unexpected argument %q", args[most]), more: true}
			}
			return nil
		}}
}

// does makes c do that.
func does(c *cobra.Command, do run) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		return do(c.Context(), args, c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

// Commands are listed in the order in which they are of use. It is set once:
// tests make several trees at a time.
func init() { cobra.EnableCommandSorting = false }

// group returns a command of commands. Its usage ends with a placeholder for
// their names; notes stand below their list.
func group(usage, summary, notes string, all ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: usage, Short: summary, Long: notes, DisableFlagsInUseLine: true, Args: cobra.ArbitraryArgs}
	c.AddCommand(all...)
	return lists(c)
}

// lists makes c, which does nothing itself, refuse what is none of its commands.
func lists(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	return does(c, func(_ context.Context, args []string, _, stderr io.Writer) error {
		if len(args) == 0 {
			printUsage(c, stderr)
			return exit(exitUsage)
		}
		return unknown(c, args[0])
	})
}

// unknown says that c has no command of that name, and which was probably meant.
func unknown(c *cobra.Command, name string) error {
	advice := ""
	if near := nearest(c, name); near != "" {
		advice = fmt.Sprintf("did you mean %q? ", near)
	}
	return misuse(fmt.Errorf("no command %q: %s'%s' lists them", name, advice, helpOf(c)))
}

// nearest returns the command of c that was probably meant, "" if none is near.
func nearest(c *cobra.Command, word string) string {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return setting.Suggest(word, names)
}

// helpOf returns the command that prints the help of c.
func helpOf(c *cobra.Command) string {
	name, rest, _ := strings.Cut(c.CommandPath(), " ")
	return strings.TrimSpace(name + " help " + rest)
}

// exitCode tells an error of c and returns its exit code.
func exitCode(c *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	var told exit
	if errors.As(err, &told) {
		return int(told)
	}
	var usage usageError
	misused := errors.As(err, &usage)
	w, name := c.ErrOrStderr(), c.CommandPath()
	if usage.file {
		fmt.Fprintln(w, plain.Text(err))
	} else {
		fmt.Fprintf(w, "%s: %s\n", name, plain.Text(err))
	}
	switch {
	case errors.Is(err, control.ErrNotRunning) && c.Flags().NArg() > 0:
		fmt.Fprintln(w, "start it with 'fieldbridge run FILE'; if it is a service, 'systemctl status fieldbridge' says "+
			"why it ended")
	case errors.Is(err, control.ErrNotRunning):
		fmt.Fprintf(w, "name the configuration that it runs, or its queue directory: %s FILE\n", name)
	case misused && !isGroup(c) && c.Flags().NArg() > 0 && nearest(c, c.Flags().Arg(0)) != "":
		fmt.Fprintf(w, "did you mean '%s %s'?\n", name, nearest(c, c.Flags().Arg(0)))
	case usage.more:
		fmt.Fprintf(w, "'%s -h' tells more\n", name)
	}
	if misused {
		return exitUsage
	}
	return exitFailed
}

// flagError says of a flag that is not known which was meant.
func flagError(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		return usageError{error: notValue(value), more: true}
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError{error: err, more: true}
	}
	if unknown.GetSpecifiedName() == "json" {
		return usageError{error: errors.New("--json: this command prints nothing for programs")}
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := setting.Suggest(unknown.GetSpecifiedName(), names); near != "" {
		err = fmt.Errorf("%w: did you mean --%s?", err, near)
	}
	return usageError{error: err, more: true}
}

// forms are how values of flags are written, by what pflag calls their type.
var forms = map[string]string{
	"duration": "write a time, as 10s, 5m or 1h30m",
	"int":      "write a whole number",
	"bool":     "write true or false, or the flag alone",
}

// notValue says of a value of a flag how it is written.
func notValue(err *pflag.InvalidValueError) error {
	f := err.GetFlag()
	form := forms[f.Value.Type()]
	if form == "" {
		form = plain.Text(err.Unwrap())
	}
	return fmt.Errorf("--%s cannot be %q: %s", f.Name, err.GetValue(), form)
}

// help prints the help of c: where it was asked for as a command it is data.
func help(c *cobra.Command, _ []string) {
	w := c.OutOrStdout()
	if asked := c.Flags().Lookup("help"); asked != nil && asked.Changed && c.HasParent() {
		w = c.ErrOrStderr()
	}
	printUsage(c, w)
}

// printUsage prints how c is used.
func printUsage(c *cobra.Command, w io.Writer) {
	usage := c.Use
	if c.HasParent() {
		usage = c.Parent().CommandPath() + " " + usage
	}
	fmt.Fprintf(w, "Usage: %s\n%s\n", usage, c.Short)
	if c.HasAvailableSubCommands() {
		fmt.Fprintln(w)
		printCommands(w, c)
	}
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", c.Long)
	}
	if c.HasAvailableLocalFlags() && !isGroup(c) {
		fmt.Fprintf(w, "\n%s", c.LocalFlags().FlagUsagesWrapped(120))
	}
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	if !c.HasParent() {
		fmt.Fprintf(w, "\n'fieldbridge help COMMAND' tells its arguments and shows examples. Exit codes:\n")
		for code := range len(exitCodes) {
			fmt.Fprintf(w, "  %d  %s\n", code, exitCodes[code])
		}
	}
}

// printCommands lists the commands of c: at the root their names, else all of
// their usage.
func printCommands(w io.Writer, c *cobra.Command) {
	t := words.NewColumns(w)
	for _, sub := range c.Commands() {
		usage := sub.Use
		if !c.HasParent() {
			usage = sub.Name()
		}
		fmt.Fprintf(t, "  %s\t%s\n", usage, sub.Short)
	}
	_ = t.Flush() // it writes where all else is written, too
}

// helpCommand prints the help of other commands.
func helpCommand() *cobra.Command {
	c := &cobra.Command{Use: "help [COMMAND ...]", Short: "tell how a command is used"}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) (names []cobra.Completion,
		_ cobra.ShellCompDirective) {
		if of := find(c.Root(), args); of != nil {
			for _, sub := range of.Commands() {
				names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return does(c, func(_ context.Context, args []string, stdout, _ io.Writer) error {
		of := c.Root()
		for _, name := range args {
			next := subcommand(of, name)
			if next == nil {
				return unknown(of, name)
			}
			of = next
		}
		of.InitDefaultHelpFlag()
		printUsage(of, stdout)
		return nil
	})
}

// find returns the command that words name from c on, nil if there is none.
func find(c *cobra.Command, words []string) *cobra.Command {
	for _, w := range words {
		if c = subcommand(c, w); c == nil {
			return nil
		}
	}
	return c
}

// normal returns args with what the flag package of Go takes written as pflag
// wants it: long flags have two dashes, and each stands with its value before the
// arguments, of which some are numbers below zero.
func normal(root *cobra.Command, args []string) []string {
	c, words := root, []string{}
	for len(args) > 0 {
		next := subcommand(c, args[0])
		if next == nil {
			break
		}
		c, words, args = next, append(words, args[0]), args[1:]
	}
	if isGroup(c) {
		if len(args) > 0 && args[0] == "-help" {
			args = append([]string{"--help"}, args[1:]...)
		}
		return append(words, args...)
	}
	c.InitDefaultHelpFlag()
	var rest []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			rest, args = append(rest, args...), nil
			break
		}
		name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || arg == "-" || isNegative(arg) {
			rest = append(rest, arg)
			continue
		}
		f := c.Flags().Lookup(name)
		if len(name) == 1 {
			f = c.Flags().ShorthandLookup(name)
		}
		switch {
		case f == nil:
			words = append(words, "--"+strings.TrimLeft(arg, "-"))
		case given:
			words = append(words, "--"+f.Name+"="+value)
		case f.NoOptDefVal != "":
			words = append(words, "--"+f.Name)
		case len(args) == 0:
			return append(words, "--"+f.Name) // which pflag refuses
		default:
			words, args = append(words, "--"+f.Name+"="+args[0]), args[1:]
		}
	}
	return append(append(words, "--"), rest...)
}

// subcommand returns the command of c that is called name, nil if there is none.
func subcommand(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// isGroup reports whether c is there for its commands alone: it has no flag of its
// own.
func isGroup(c *cobra.Command) bool {
	own := false
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" })
	return c.HasSubCommands() && !own
}

// isNegative reports whether an argument is a number below zero.
func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.')
}
