// Command notices prints the licence texts of the modules that are linked into
// a Go binary, for the file that goes with each release:
//
//	go run ./packaging/notices BINARY
//
// It fails if a module has no licence file, since it then must not be shipped.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: notices BINARY")
		os.Exit(2)
	}
	var out bytes.Buffer
	if err := notices(&out, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(out.Bytes()); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func notices(w io.Writer, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Fieldbridge is made with the work of others. Their licences follow.\n")
	if err := write(w, "the Go standard library and runtime", runtime.Version(), goRoot()); err != nil {
		return err
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.Path).Output()
		if err != nil {
			return fmt.Errorf("find %s: %w", m.Path, err)
		}
		if err := write(w, m.Path, m.Version, strings.TrimSpace(string(dir))); err != nil {
			return err
		}
	}
	return nil
}

func goRoot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|edl-v10|epl-v\d+)([.-].*)?$`)

// write prints the licence and notice files of one module.
func write(w io.Writer, path, version, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("licence of %s: %w", path, err)
	}
	found := false
	for _, f := range files {
		if f.IsDir() || !licenceFile.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(w, "\n%s\n%s %s: %s\n%s\n\n%s\n", strings.Repeat("=", 79), path, version, f.Name(),
			strings.Repeat("=", 79), bytes.TrimSpace(text))
	}
	if !found {
		return errors.New("no licence file in " + path + " " + version + ": it must not be shipped")
	}
	return nil
}
