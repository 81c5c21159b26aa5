// Package manual has what the tree of commands tells about itself beside its help:
// examples, and pages for man(1).
package manual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page is a page of the manual: the name of its file, and its text as man(7) has
// it.
type Page struct{ Name, Text string }

// Pages returns a page for root and one for each command of it, which tells of that
// one's own commands, too. codes is what the exit codes mean, by number.
func Pages(root *cobra.Command, codes map[int]string) []Page {
	var commands strings.Builder
	var others []string
	pages := []Page{{}}
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		name := root.Name() + "-" + c.Name()
		fmt.Fprintf(&commands, ".TP\n.BR %s (1)\n%s\n", escape(name), escape(c.Short))
		others = append(others, name)
		pages = append(pages, Page{name + ".1", page(name, c, section(c)+exits(codes)+see([]string{root.Name()}))})
	}
	text := ".SH SYNOPSIS\n.B " + escape(root.Use) + "\n.SH DESCRIPTION\n" + escape(root.Short) + "\n.SH COMMANDS\n" +
		commands.String() + exits(codes) + see(others)
	pages[0] = Page{root.Name() + ".1", page(root.Name(), root, text)}
	return pages
}

// page puts head and foot to the text of c.
func page(name string, c *cobra.Command, text string) string {
	short, _, _ := strings.Cut(c.Short, ":")
	return fmt.Sprintf(".TH %s 1 \"\" Fieldbridge \"Fieldbridge\"\n.SH NAME\n%s \\- %s\n%s", strings.ToUpper(name),
		escape(name), escape(short), text)
}

// section tells all of c and then of its commands.
func section(c *cobra.Command) string {
	b := new(strings.Builder)
	fmt.Fprintf(b, ".SH SYNOPSIS\n.B %s\n.SH DESCRIPTION\n%s\n", escape(usage(c)), escape(c.Short))
	tellMore(b, c, ".SH ")
	var below func(c *cobra.Command)
	below = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			fmt.Fprintf(b, ".SH %s\n.B %s\n.PP\n%s\n", escape(strings.ToUpper(sub.CommandPath())), escape(usage(sub)),
				escape(sub.Short))
			tellMore(b, sub, ".SS ")
			below(sub)
		}
	}
	below(c)
	return b.String()
}

// usage returns how c is called.
func usage(c *cobra.Command) string { return c.Parent().CommandPath() + " " + c.Use }

// tellMore tells notes, flags and examples of c under headings of that kind.
func tellMore(b *strings.Builder, c *cobra.Command, heading string) {
	if c.Long != "" {
		fmt.Fprintf(b, ".PP\n.nf\n%s\n.fi\n", escape(c.Long))
	}
	flags := new(strings.Builder)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		kind, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(flags, ".TP\n.B %s\n%s\n", escape(strings.TrimSpace(name+" "+kind)), escape(text))
	})
	if flags.Len() > 0 {
		fmt.Fprintf(b, "%sOPTIONS\n%s", heading, flags)
	}
	if c.Example != "" {
		fmt.Fprintf(b, "%sEXAMPLES\n.nf\n%s\n.fi\n", heading, escape(c.Example))
	}
}

func exits(codes map[int]string) string {
	b := new(strings.Builder)
	b.WriteString(".SH EXIT STATUS\n")
	var numbers []int
	for n := range codes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		fmt.Fprintf(b, ".TP\n.B %d\n%s\n", n, escape(codes[n]))
	}
	return b.String()
}

func see(names []string) string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = ".BR " + escape(name) + " (1)"
	}
	return ".SH SEE ALSO\n" + strings.Join(refs, "\n") + "\n"
}

// escape makes text stand in a page as it is: man(7) takes a backslash, a hyphen,
// and a dot or quote at the start of a line for something else.
func escape(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
