// Command release makes what is shipped, into a folder:
//
//	go run ./packaging/release [--sign KEY] [--only amd64,arm64] [--kinds deb,ipk] [--as VERSION] FOLDER
//	go run ./packaging/release --version
//
// For each processor a static binary, packages for Debian, RPM, Alpine and OpenWrt
// (by nfpm) and a tarball with an installer; an OCI image for
// those that have one; and beside them a bill of materials, the notices, checksums
// and, given a key of minisign, their signature. Two runs on the same commit make
// the same bytes, whatever folder they run in: all times are the commit's.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldbridge/minisign"
)

func main() {
	var o order
	flag.StringVar(&o.key, "sign", "", "sign the checksums with this secret `KEY` of minisign")
	flag.StringVar(&o.only, "only", "", "make these `PROCESSORS` alone, as amd64,arm64")
	flag.StringVar(&o.kinds, "kinds", "", "make packages of these `KINDS` alone, as deb,ipk, and nothing else")
	flag.StringVar(&o.version, "as", "", "make this `VERSION`, not the checkout's")
	tell := flag.Bool("version", false, "print the version of this checkout, and make nothing")
	flag.Parse()
	if flag.NArg() != 1 && !*tell {
		fmt.Fprintln(os.Stderr, "usage: release [FLAGS] FOLDER, or: release --version")
		os.Exit(2)
	}
	if err := run(o, flag.Arg(0), *tell); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// order is what is asked for.
type order struct{ version, only, kinds, key string }

func run(o order, out string, tell bool) (err error) {
	if o.version == "" {
		if o.version, err = versionHere(); err != nil {
			return err
		}
	}
	if tell {
		fmt.Println(o.version)
		return nil
	}
	return release(o, out)
}

// versionHere returns the version of what is checked out.
func versionHere() (string, error) {
	text, err := git("describe", "--tags", "--match", "v[0-9]*", "--long", "--always", "--dirty")
	if err != nil {
		return "", err
	}
	commits, err := git("rev-list", "--count", "HEAD")
	if err != nil {
		return "", err
	}
	return semver(text, commits)
}

func git(words ...string) (string, error) {
	out, err := exec.Command("git", words...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: which version this is stands in the repository alone", words[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// shipment is one run.
type shipment struct {
	version string
	at      time.Time // of the commit
	out     string    // where artefacts go
	work    string    // what they are made of; removed at the end
	notices string    // a file
	pages   []string  // files of the manual
	kinds   []string  // of packages, if not all artefacts are made
}

func release(o order, out string) error {
	at, err := commitTime()
	if err != nil {
		return err
	}
	targets := targets
	if o.only != "" {
		wanted := strings.Split(o.only, ",")
		targets = slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return !slices.Contains(wanted, t.name) })
		if len(targets) != len(wanted) {
			return fmt.Errorf("of %s not all are known", o.only)
		}
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // it is a folder of /tmp
	s := &shipment{version: o.version, at: at, out: out, work: work}
	if o.kinds != "" {
		s.kinds = strings.Split(o.kinds, ",")
	}
	if s.pages, err = filepath.Glob("packaging/man/*.1"); err != nil {
		return err
	}
	if err := s.papers(); err != nil {
		return fmt.Errorf("papers: %w", err)
	}
	if err := s.make(targets); err != nil {
		return err
	}
	return s.seal(o.key)
}

// make builds all there is for targets.
func (s *shipment) make(targets []target) error {
	var images []target
	for _, t := range targets {
		if err := s.build(t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if s.notices == "" {
			if err := s.describe(t); err != nil {
				return err
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(t.packages)) {
			if s.kinds != nil && !slices.Contains(s.kinds, kind) {
				continue
			}
			if err := s.pack(t, kind); err != nil {
				return fmt.Errorf("%s: %s: %w", t.name, kind, err)
			}
			if needs, ok := helperNeeds[kind]; ok && t.tokens {
				if err := s.packHelper(t, kind, needs); err != nil {
					return fmt.Errorf("%s: %s of %s: %w", t.name, kind, helper, err)
				}
			}
		}
		if s.kinds != nil {
			continue
		}
		if err := s.tarball(t); err != nil {
			return fmt.Errorf("%s: tarball: %w", t.name, err)
		}
		if t.image != nil {
			images = append(images, t)
		}
	}
	if len(images) == 0 {
		return nil
	}
	return s.image(images)
}

// describe writes what the program is made of, from the binary itself.
func (s *shipment) describe(t target) error {
	notices, err := exec.Command("go", "run", "./packaging/notices", s.binary(t)).Output()
	if err != nil {
		return fmt.Errorf("notices: %w", err)
	}
	s.notices = filepath.Join(s.out, "THIRD-PARTY-NOTICES.txt")
	if err := os.WriteFile(s.notices, notices, 0o644); err != nil {
		return err
	}
	if s.kinds != nil {
		return nil
	}
	sbom := filepath.Join(s.out, "fieldbridge-"+s.version+".cdx.json")
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin", "-json", "-noserial",
		"-version", s.version, "-output", sbom, s.binary(t))
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(s.at.Unix(), 10))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bill of materials: %w: %s", err, text)
	}
	return steady(sbom, s.at)
}

// seal writes the checksums of all artefacts, and their signature if there is a key.
func (s *shipment) seal(keyFile string) error {
	files, err := filepath.Glob(filepath.Join(s.out, "*"))
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), filepath.Base(f))
		fmt.Printf("%10d  %s\n", len(content), filepath.Base(f))
	}
	name := filepath.Join(s.out, "SHA256SUMS")
	if err := os.WriteFile(name, []byte(sums.String()), 0o644); err != nil {
		return err
	}
	if keyFile == "" {
		return nil
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	key, err := minisign.ParseSecretKey(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	signature, err := key.Sign([]byte(sums.String()), "fieldbridge "+s.version)
	if err != nil {
		return err
	}
	return os.WriteFile(name+".minisig", []byte(signature), 0o644)
}

func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = git("log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, err
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
