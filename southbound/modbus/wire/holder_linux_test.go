package wire

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestHolders: who else has a file open is named, with its process.
func TestHolders(t *testing.T) {
	name := filepath.Join(t.TempDir(), "port")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if who := Holders(name); who != nil {
		t.Errorf("we alone: %v", who)
	}
	cmd := exec.Command("sleep", "60")
	cmd.Stdin = file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if who, want := Holders(name), []string{fmt.Sprintf("sleep (process %d)", cmd.Process.Pid)}; !slices.Equal(who, want) {
		t.Errorf("%v, want %v", who, want)
	}
	if who := Holders(name + "2"); who != nil {
		t.Errorf("of no file: %v", who)
	}
}
