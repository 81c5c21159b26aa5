// Command sizes builds the program whole and small, as it is shipped for amd64, and
// prints the size of both and what each module has in them:
//
//	go run ./packaging/sizes
//
// It fails if one is larger than its bound.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"fieldbridge/packaging/lean"
)

const mib = 1 << 20

// build is a way in which the program is built.
type build struct {
	name  string
	most  int64 // bytes
	small bool
}

var builds = []build{{"whole", 18 * mib, false}, {"small", 15*mib + 3*mib/10, true}}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sizes:", err)
		os.Exit(1)
	}
}

func run(w io.Writer) error {
	dir, err := os.MkdirTemp("", "sizes")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var found error
	shares := map[string]map[string]int64{}
	for _, b := range builds {
		stripped, named := filepath.Join(dir, b.name), filepath.Join(dir, b.name+"-named")
		flags, link := lean.Flags("amd64", b.small)
		if err := compile(stripped, append(flags, "-ldflags="+link)); err != nil {
			return err
		}
		if err := compile(named, append(flags, "-ldflags="+strings.TrimPrefix(link, "-s "))); err != nil {
			return err
		}
		size, err := os.Stat(stripped)
		if err != nil {
			return err
		}
		symbols, err := exec.Command("go", "tool", "nm", "-size", named).Output()
		if err != nil {
			return fmt.Errorf("go tool nm: %w", err)
		}
		shares[b.name] = modules(symbols)
		fmt.Fprintf(w, "%s: %d bytes, %.2f of at most %.2f MiB\n", b.name, size.Size(), float64(size.Size())/mib,
			float64(b.most)/mib)
		if size.Size() > b.most {
			found = errors.Join(found, fmt.Errorf("%s is %d bytes larger than it may be", b.name, size.Size()-b.most))
		}
	}
	return errors.Join(found, table(w, shares))
}

func compile(to string, flags []string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-buildvcs=false", "-o", to}, flags...),
		"./cmd/fieldbridge")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

// table prints what each module has, largest first. Beside it a program has the tables
// of the runtime, nearly as much again, in which modules have their part by their
// number of functions.
func table(w io.Writer, shares map[string]map[string]int64) error {
	fmt.Fprintln(w, "\nCode and data by module, in bytes; beside them stand the tables of Go's runtime:")
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "whole\tsmall\t  module\t")
	names := slices.Collect(maps.Keys(shares[builds[0].name]))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(shares[builds[0].name][b], shares[builds[0].name][a]), strings.Compare(a, b))
	})
	for _, n := range names {
		fmt.Fprintf(tab, "%d\t%d\t  %s\t\n", shares["whole"][n], shares["small"][n], n)
	}
	return tab.Flush()
}

// modules sums the symbols of a program by module. What a module makes of a generic
// function of Go's is counted as Go's.
func modules(symbols []byte) map[string]int64 {
	sums := map[string]int64{}
	for line := range bytes.Lines(symbols) {
		f := strings.Fields(string(line))
		if len(f) < 4 || strings.ContainsAny(f[2], "bBU") || f[3] == "crypto/internal/fips140/drbg.memory" {
			continue // it takes no place in the file
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			continue
		}
		sums[owner(f[3])] += n
	}
	return sums
}

// owner returns the module of a symbol, which begins with the path of its package. The
// linker writes a dot in the last step of a path as %2e.
func owner(symbol string) string {
	for _, kind := range []string{"go:itab.", "type:.eq.", "type:", "*"} {
		symbol = strings.TrimPrefix(symbol, kind)
	}
	path := symbol[:strings.IndexAny(symbol+"(", "([{,")]
	last := strings.LastIndexByte(path, '/') + 1
	name, _, _ := strings.Cut(path[last:], ".")
	steps := strings.Split(strings.ReplaceAll(path[:last]+name, "%2e", "."), "/")
	switch first := steps[0]; {
	case first == "main" || first == "fieldbridge":
		return "fieldbridge"
	case !strings.Contains(first, "."):
		return "Go itself"
	case first == "github.com" || first == "golang.org":
		return strings.Join(steps[:min(3, len(steps))], "/")
	default:
		return strings.Join(steps[:min(2, len(steps))], "/")
	}
}
