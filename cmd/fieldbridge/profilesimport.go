package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/configs/registers"
)

// profilesImportCommand makes a profile of a list of registers.
func profilesImportCommand() *cobra.Command {
	c := newCommand("import FILE.csv [flags]", "make a profile of a list of registers, as makers write them", 1)
	c.Long = "The first line names the columns: address and name at least; type, scale (or divisor), unit, function,\n" +
		"writable, length, order, min, max and values are taken, by many names. The profile is printed; what was\n" +
		"guessed is told."
	var o registers.Options
	name := c.Flags().String("name", "", "the `NAME` of the profile; the file's unless given")
	c.Flags().StringVar(&o.Table, "table", "",
		"the `TABLE` of registers without a function: holding (the default), input, coil or discrete")
	c.Flags().StringVar(&o.Addresses, "addresses", registers.Auto,
		"addresses are as sent (`wire`), count from 1 (one), or are as manuals print them, 40001 (ref)")
	c.Flags().StringVar(&o.Order, "order", "", "the `ORDER` of bytes and words: ABCD, CDAB, BADC or DCBA")
	return does(c, func(_ context.Context, args []string, stdout, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which list? 'fieldbridge profiles import FILE.csv'"))
		}
		for _, f := range []struct {
			flag, value string
			values      []string
		}{
			{"table", o.Table, []string{"", "holding", "input", "coil", "discrete"}},
			{"addresses", o.Addresses, []string{registers.Auto, registers.Wire, registers.One, registers.Ref}},
			{"order", o.Order, []string{"", "ABCD", "CDAB", "BADC", "DCBA"}},
		} {
			if !slices.Contains(f.values, f.value) {
				return misuse(fmt.Errorf("--%s %q: it is one of %s", f.flag, f.value,
					strings.TrimPrefix(strings.Join(f.values, ", "), ", ")))
			}
		}
		return importProfile(args[0], profileName(*name, args[0]), o, stdout, stderr)
	})
}

// profileName returns what the profile is called: the name given, or that of the
// file.
func profileName(given, file string) string {
	if given != "" {
		return given
	}
	base := strings.ToLower(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
	base = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(base, "-"), "-")
	if base == "" {
		return "imported"
	}
	return base
}

// validProfileName is what a profile may be called here: a key that needs no quotes.
var validProfileName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func importProfile(file, name string, o registers.Options, stdout, stderr io.Writer) error {
	if len(name) > 64 || !validProfileName.MatchString(name) {
		return misuse(fmt.Errorf("%q is no name for a profile: write small letters, digits and -", name))
	}
	if is, err := os.Stat(file); err == nil && is.IsDir() {
		return misuse(fmt.Errorf("%s is a folder: name a file", file))
	}
	f, err := os.Open(file)
	if err != nil {
		return misuse(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	l, err := registers.Read(f, o)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, note := range l.Notes {
		fmt.Fprintln(stderr, note)
	}
	fmt.Fprintf(stderr, "%d points; compare them with the maker's list, then include: the file and say profile: %s\n",
		len(l.Points), name)
	_, err = io.WriteString(stdout, l.YAML(name, filepath.Base(file)))
	return err
}
