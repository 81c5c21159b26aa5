// Mutate breaks the program on purpose, one named fault at a time, in a copy of
// the checkout, and runs the tests that have to notice. A fault that no test
// notices is a hole in the tests: it is named, and the exit code is 1.
//
// The faults stand in the files *.txt beside this one:
//
//	== store: the record of acknowledgements has no checksum
//	file store/acks.go
//	test ./store TestAcks
//	-- old
//	if crc != want {
//	-- new
//	if false {
//
// The old text must stand in the file exactly once. Several lines of tests may
// be given; one that fails is enough. A fault that does not build is an error of
// the list.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("run", "", "only the faults whose names match this regular expression")
	each := flag.Duration("timeout", 40*time.Second, "how long the tests of one fault may take; longer counts as noticed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *each); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, each time.Duration) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	faults, err := readFaults("mutate")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	faults = slices.DeleteFunc(faults, func(f fault) bool { return !match.MatchString(f.name) })
	if err := sound(ctx, dir, each, faults); err != nil {
		return err
	}
	tried, lived := 0, 0
	var wrong []error // in the lists
	for _, f := range faults {
		start := time.Now()
		noticed, err := f.try(ctx, dir, each)
		word := "noticed"
		switch tried++; {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", f.name, err))
			word = "WRONG"
		case !noticed:
			word = "NOT NOTICED"
			lived++
		}
		fmt.Printf("%-11s %5.1f s  %s\n", word, time.Since(start).Seconds(), f.name)
	}
	fmt.Printf("%d faults, %d not noticed\n", tried, lived)
	if lived > 0 {
		wrong = append(wrong, errors.New("the tests are blind to some faults"))
	}
	return errors.Join(wrong...)
}

// sound checks that all tests pass as long as nothing is broken: one that fails
// anyway would notice everything.
func sound(ctx context.Context, dir string, each time.Duration, faults []fault) error {
	start, done := time.Now(), map[tests]bool{}
	for _, f := range faults {
		for _, t := range f.tests {
			if done[t] {
				continue
			}
			done[t] = true
			if failed, err := test(ctx, dir, each, t); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			} else if failed {
				return fmt.Errorf("%s: %s in %s fail with nothing broken", f.name, t.names, t.dir)
			}
		}
	}
	fmt.Printf("%-11s %5.1f s  with nothing broken, %d times\n", "passed", time.Since(start).Seconds(), len(done))
	return nil
}

// copyTree copies what git knows of the checkout, with its uncommitted changes.
func copyTree(ctx context.Context, dir string) error {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, info.Mode()); err != nil {
			return err
		}
	}
	return nil
}

// fault is one way to break the program.
type fault struct {
	name     string
	file     string
	tests    []tests
	old, new string
}

// tests are those of one package whose names match.
type tests struct{ dir, names string }

// readFaults reads the lists in dir.
func readFaults(dir string) ([]fault, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []fault
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for i, text := range strings.Split("\n"+string(b), "\n== ") {
			if i == 0 {
				continue // what stands before the first
			}
			f, err := parseFault(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, f)
		}
	}
	return all, nil
}

func parseFault(text string) (fault, error) {
	head, change, ok := strings.Cut(text, "\n-- old\n")
	before, after, ok2 := strings.Cut(change, "\n-- new\n")
	name, rest, _ := strings.Cut(head, "\n")
	f := fault{name: name, old: before, new: strings.TrimRight(after, "\n")}
	if !ok || !ok2 {
		return f, fmt.Errorf("%q has no old and new", name)
	}
	for line := range strings.SplitSeq(rest, "\n") {
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "file" && len(words) == 2:
			f.file = words[1]
		case words[0] == "test" && len(words) == 3:
			f.tests = append(f.tests, tests{words[1], words[2]})
		default:
			return f, fmt.Errorf("%q: cannot read the line %q", name, line)
		}
	}
	if f.file == "" || len(f.tests) == 0 {
		return f, fmt.Errorf("%q names no file or no test", name)
	}
	return f, nil
}

// try makes the fault in the copy, runs its tests, and mends it again.
func (f *fault) try(ctx context.Context, dir string, each time.Duration) (noticed bool, err error) {
	path := filepath.Join(dir, f.file)
	src, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if n := strings.Count(string(src), f.old); n != 1 {
		return false, fmt.Errorf("the old text stands in %s %d times", f.file, n)
	}
	broken := strings.Replace(string(src), f.old, f.new, 1)
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, src, 0o644)) }()
	for _, t := range f.tests {
		if noticed, err = test(ctx, dir, each, t); noticed || err != nil {
			return noticed, err
		}
	}
	return false, nil
}

// mostBuild is how long a build and its tests may take together.
const mostBuild = 5 * time.Minute

// test reports whether tests fail, or take longer than each. What does not build, and
// tests that are not there, are errors of the list.
func test(ctx context.Context, dir string, each time.Duration, t tests) (failed bool, err error) {
	limited, cancel := context.WithTimeout(ctx, each+mostBuild)
	defer cancel()
	out, err := command(limited, dir, "test", "-vet=off", "-count=1", "-failfast", "-timeout", each.String(),
		"-run", t.names, t.dir)
	switch {
	case limited.Err() != nil:
		return false, limited.Err()
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return false, fmt.Errorf("does not build: %s", out)
	case bytes.Contains(out, []byte("[no tests to run]")), bytes.Contains(out, []byte("[no test files]")):
		return false, fmt.Errorf("there is no test %s in %s", t.names, t.dir)
	}
	return err != nil, nil
}

func command(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd.CombinedOutput()
}
