package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/minisign"
	"fieldbridge/release"
)

func releaseCommand() *cobra.Command {
	c := &cobra.Command{Use: "release PROGRAM... [--version VERSION] --key FILE --out FOLDER",
		Short: "make folders of a release, signed by a root key, for update and for 'fieldbridge update install'",
		Args:  takes(cobra.MinimumNArgs(1)), Long: "PROGRAM is a program, or a tarball that 'make packages' makes; the " +
			"folder of each is named after\nits processor."}
	f := c.Flags()
	version := f.String("version", "", "the `VERSION` that the program tells; a tarball's is that of its name")
	floor := f.String("floor", "", "the oldest `VERSION` that gateways take after this one")
	keyFile := f.String("key", "", "the `FILE` of a secret key of minisign without a password, one of the roots that "+
		"programs were built with; - for stdin")
	out := f.String("out", "", "the `FOLDER` that the folders are made in")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *keyFile == "" || *out == "" {
			return usageError{errors.New("say --key FILE and --out FOLDER")}
		}
		key, err := secret(*keyFile, c.InOrStdin())
		if err != nil {
			return err
		}
		for _, file := range args {
			content, told, err := readProgram(file)
			if err != nil {
				return usageError{err}
			}
			if *version != "" {
				told = *version
			}
			if told == "" {
				return usageError{fmt.Errorf("%s is no tarball of 'make packages', which names its version: say --version", file)}
			}
			if b, err := buildinfo.Read(bytes.NewReader(content)); err != nil || b.Path != gatewayProgram {
				fmt.Fprintf(c.ErrOrStderr(), "%s: warning: this is not the gateway's program, or it does not say so (%s)\n", file,
					gatewayProgram)
			}
			dir, err := writeRelease(*out, content, release.Manifest{Version: told, Floor: *floor}, key)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", file, err)}
			}
			fmt.Fprintln(c.OutOrStdout(), dir)
		}
		return nil
	}
	return c
}

// gatewayProgram is what a program of the gateway was built from, as Go notes it.
const gatewayProgram = "fieldbridge/cmd/fieldbridge"

// mostProgram bounds what is unpacked, in bytes.
const mostProgram = 64 << 20

// tops are the folders in tarballs of 'make packages'.
var tops = regexp.MustCompile(`^fieldbridge-(\d+\.\d+\.\d+.*)-[a-z0-9]+(-small)?$`)

// readProgram reads a program, or that of a tarball and its version.
func readProgram(file string) (content []byte, version string, err error) {
	if content, err = os.ReadFile(file); err != nil {
		return nil, "", err
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return content, "", nil // it is the program itself
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err != nil {
			return nil, "", fmt.Errorf("%s: no program is in it: %w", file, err)
		}
		top, name := path.Split(h.Name)
		if m := tops.FindStringSubmatch(strings.TrimSuffix(top, "/")); m != nil && name == release.Program {
			content, err = io.ReadAll(io.LimitReader(t, mostProgram))
			return content, m[1], err
		}
	}
}

// writeRelease makes the folder of a release. One that is there with the same program
// is signed again; one with another is left alone.
func writeRelease(out string, content []byte, m release.Manifest, key minisign.SecretKey) (dir string, err error) {
	m.OS, m.Size = "linux", int64(len(content))
	if m.Arch, err = release.Arch(content); err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	m.SHA256 = hex.EncodeToString(sum[:])
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	manifest = append(manifest, '\n')
	signature, err := key.Sign(manifest, "fieldbridge "+m.Version+" "+m.OS+"/"+m.Arch)
	if err != nil {
		return "", err
	}
	if _, err := (release.Roots{key.Public()}).Read(manifest, signature); err != nil {
		return "", err // as a gateway would say it
	}
	dir = filepath.Join(out, m.OS+"-"+m.Arch)
	if was, err := os.ReadFile(filepath.Join(dir, release.Program)); err == nil && !bytes.Equal(was, content) {
		return "", fmt.Errorf("%s holds another program: name another --out", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, errors.Join(os.WriteFile(filepath.Join(dir, release.Program), content, 0o755),
		os.WriteFile(filepath.Join(dir, release.ManifestFile), manifest, 0o644),
		os.WriteFile(filepath.Join(dir, release.SignatureFile), []byte(signature), 0o644))
}
