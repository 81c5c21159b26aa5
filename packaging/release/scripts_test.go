package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fieldbridge/needtest"
)

// TestScripts has every script that packages run read by the shells that may run it,
// and by shellcheck.
func TestScripts(t *testing.T) {
	var scripts []string
	for _, pattern := range []string{"../*.sh", "../*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err == nil && bytes.HasPrefix(text, []byte("#!/")) {
				scripts = append(scripts, name)
			}
		}
	}
	if len(scripts) < 12 {
		t.Fatalf("only %d scripts: %v", len(scripts), scripts)
	}
	for _, command := range [][]string{
		{"dash", "-n"}, {"busybox", "ash", "-n"},
		// SC1091: debconf's functions need not be here. SC2034: who reads the variables is the
		// init system. SC2119: debconf's functions take the arguments they are given.
		{"shellcheck", "-s", "sh", "-e", "SC1091,SC2034,SC2119"},
	} {
		path := needtest.Program(t, command[0])
		for _, name := range scripts {
			args := append(command[1:len(command):len(command)], name)
			if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
				t.Errorf("%s of %s: %v: %s", command[0], name, err, out)
			}
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o111 == 0 {
				t.Errorf("%s cannot be run: %v", name, err)
			}
		}
	}
}
