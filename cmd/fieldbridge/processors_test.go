package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/needtest"
)

// TestSoakProcessors runs the program as it is built for the gateways' processors, under
// qemu: it starts, checks a file, and a demonstration with an outage loses nothing. What qemu
// itself takes is in the memory that is told. There are no serial ports there.
func TestSoakProcessors(t *testing.T) {
	if os.Getenv("FIELDBRIDGE_SOAK") == "" {
		t.Skip("make soak runs it: building for four processors takes minutes")
	}
	for _, p := range []struct{ qemu, arch, more string }{
		{"qemu-aarch64-static", "arm64", ""}, {"qemu-arm-static", "arm", "GOARM=7"},
		{"qemu-mipsel-static", "mipsle", "GOMIPS=softfloat"}, {"qemu-riscv64-static", "riscv64", ""},
	} {
		t.Run(p.arch, func(t *testing.T) {
			qemu := needtest.Program(t, p.qemu)
			dir := t.TempDir()
			bin := filepath.Join(dir, "fieldbridge")
			build := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-o", bin, ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+p.arch)
			if p.more != "" {
				build.Env = append(build.Env, p.more)
			}
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			run := func(args ...string) (said string, peak int64) {
				t.Helper()
				var out bytes.Buffer
				cmd := exec.Command(qemu, append([]string{bin}, args...)...)
				cmd.Stdout, cmd.Stderr = &out, &out
				cmd.WaitDelay = 5 * time.Minute
				if err := cmd.Run(); err != nil {
					t.Fatalf("%q: %v\n%s", args, err, tail(out.String(), 3000))
				}
				return out.String(), int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) >> 10
			}
			if said, _ := run("version"); !strings.Contains(said, "fieldbridge") {
				t.Errorf("version: %s", said)
			}
			demo := filepath.Join(dir, "demo")
			said, peak := run("demo", "--outage", "8s", "--dir", demo)
			m := regexp.MustCompile(`The ledger: ([\d,]+) readings accepted \+ 0 found = ([\d,]+) acknowledged ` +
				`\+ 0 dropped \+ 0 damaged \+ 0 dead letters \+ 0 waiting\nThe cloud has ([\d,]+) of them`).
				FindStringSubmatch(said)
			if m == nil || m[1] != m[2] || m[1] != m[3] {
				t.Errorf("not everything arrived:\n%s", tail(said, 3000))
			}
			files, _ := filepath.Glob(filepath.Join(demo, "*.yaml")) // the pattern is right
			if len(files) == 0 {
				t.Fatal("the demonstration has left no configuration")
			}
			run("check", files[0])
			t.Logf("%s: %v, at most %d MiB with qemu", p.arch, m, peak)
		})
	}
}
