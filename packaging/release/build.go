package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"fieldbridge/packaging/lean"
)

// target is a kind of machine.
type target struct {
	name     string            // in the names of artefacts
	arch     string            // GOARCH
	variant  string            // GOARM, or GOMIPS
	small    bool              // without demo, cloud, Sparkplug and page, for little flash
	tokens   bool              // with a package of the helper for PKCS #11 tokens, where there is a glibc
	packages map[string]string // the architecture's name by kind of package
	image    *platform         // in an OCI index
}

// targets are those that artefacts are made for. Debian's armhf is version 7,
// Raspbian's of that name is 6 and gets a tarball; OpenWrt names the whole core.
var targets = []target{
	{name: "amd64", arch: "amd64", tokens: true, image: &platform{Architecture: "amd64", OS: "linux"},
		packages: map[string]string{"deb": "amd64", "rpm": "x86_64", "apk": "x86_64", "ipk": "x86_64"}},
	{name: "arm64", arch: "arm64", tokens: true, image: &platform{Architecture: "arm64", OS: "linux", Variant: "v8"},
		packages: map[string]string{"deb": "arm64", "rpm": "aarch64", "apk": "aarch64", "ipk": "aarch64_generic"}},
	{name: "armv7", arch: "arm", variant: "7", tokens: true,
		image:    &platform{Architecture: "arm", OS: "linux", Variant: "v7"},
		packages: map[string]string{"deb": "armhf", "rpm": "armv7hl", "apk": "armv7", "ipk": "arm_cortex-a7_neon-vfpv4"}},
	{name: "armv6", arch: "arm", variant: "6"},
	{name: "armv5", arch: "arm", variant: "5",
		packages: map[string]string{"deb": "armel", "ipk": "arm_arm926ej-s"}},
	{name: "riscv64", arch: "riscv64", tokens: true,
		packages: map[string]string{"deb": "riscv64", "rpm": "riscv64", "apk": "riscv64", "ipk": "riscv64_generic"}},
	{name: "386", arch: "386", tokens: true,
		packages: map[string]string{"deb": "i386", "rpm": "i686", "apk": "x86", "ipk": "i386_pentium4"}},
	{name: "mipsle", arch: "mipsle", variant: "softfloat", packages: map[string]string{"ipk": "mipsel_24kc"}},
	{name: "armv5-small", arch: "arm", variant: "5", small: true, packages: map[string]string{"ipk": "arm_arm926ej-s"}},
	{name: "mipsle-small", arch: "mipsle", variant: "softfloat", small: true,
		packages: map[string]string{"ipk": "mipsel_24kc"}},
}

// product is the name of t's packages.
func (t target) product() string {
	if t.small {
		return "fieldbridge-small"
	}
	return "fieldbridge"
}

func (s *shipment) binary(t target) string { return filepath.Join(s.work, t.name, "fieldbridge") }

// helper is the program for PKCS #11 tokens, which the gateway starts. It loads libraries of
// vendors, so that it needs the C library that the gateway does without.
const helper = "fieldbridge-p11"

func (s *shipment) helper(t target) string { return filepath.Join(s.work, t.name, helper) }

// rootKeys is the variable with the public keys of minisign, parted by commas, that may
// sign releases which the program takes; without it it takes none.
const rootKeys = "FIELDBRIDGE_ROOTS"

// build compiles the program. Nothing of the machine or the folder is in it.
func (s *shipment) build(t target) error {
	flags, link := lean.Flags(t.arch, t.small)
	link += " -X main.version=" + s.version + " -X main.roots=" + os.Getenv(rootKeys)
	err := compile(t, append(flags, "-ldflags", link, "-o", s.binary(t), "./cmd/fieldbridge")...)
	if err != nil || !t.tokens {
		return err
	}
	return compile(t, "-ldflags", "-s -w", "-o", s.helper(t), "./cmd/"+helper)
}

// compile runs go build for a target.
func compile(t target, words ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false"}, words...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+t.arch, "GOFLAGS=-mod=readonly")
	switch t.arch {
	case "arm":
		cmd.Env = append(cmd.Env, "GOARM="+t.variant)
	case "mipsle":
		cmd.Env = append(cmd.Env, "GOMIPS="+t.variant)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

// steady gives a bill of materials the commit's time instead of the hour's.
func steady(file string, at time.Time) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bill map[string]any
	if err := json.Unmarshal(content, &bill); err != nil {
		return err
	}
	if metadata, ok := bill["metadata"].(map[string]any); ok {
		metadata["timestamp"] = at.Format(time.RFC3339)
	}
	content, err = json.MarshalIndent(bill, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}
