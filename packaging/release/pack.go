package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// recipe is what nfpm reads, which takes JSON for YAML.
type recipe struct {
	Name          string            `json:"name"`
	Arch          string            `json:"arch"`
	Platform      string            `json:"platform"`
	Version       string            `json:"version"`
	VersionSchema string            `json:"version_schema"`
	Section       string            `json:"section"`
	Priority      string            `json:"priority"`
	Maintainer    string            `json:"maintainer"`
	Description   string            `json:"description"`
	Homepage      string            `json:"homepage"`
	License       string            `json:"license"`
	Time          time.Time         `json:"mtime"`
	Depends       []string          `json:"depends,omitempty"`
	Conflicts     []string          `json:"conflicts,omitempty"`
	Contents      []content         `json:"contents"`
	Scripts       map[string]string `json:"scripts"`
	Deb           special           `json:"deb,omitzero"`
	APK           special           `json:"apk,omitzero"`
}

// special is what one kind of package has more.
type special struct {
	Scripts map[string]string `json:"scripts"`
}

type content struct {
	From string `json:"src,omitempty"`
	To   string `json:"dst"`
	Type string `json:"type,omitempty"`
	Info info   `json:"file_info"`
}

type info struct {
	Mode os.FileMode `json:"mode"`
	Time time.Time   `json:"mtime"`
}

const maintainer = "Fieldbridge maintainers <maintainers@fieldbridge.example>"

// Debian wants lines of at most 80 columns, the first of them alone.
const description = `Modbus and MQTT sensors to AWS IoT Core, without loss
Fieldbridge polls Modbus devices and listens to MQTT sensors on a gateway
in a plant, keeps every reading in a queue that survives crashes and power
cuts while the uplink is down, and forwards them to AWS IoT Core over one
session.
`

// scripts are run when a kind of package comes, is upgraded and goes, by nfpm's names.
var scripts = map[string]map[string]string{
	"deb": {"postinstall": "packaging/debian/postinst", "preremove": "packaging/debian/prerm",
		"postremove": "packaging/debian/postrm"},
	"rpm": {"postinstall": "packaging/rpm/post", "preremove": "packaging/rpm/preun", "postremove": "packaging/rpm/postun"},
	"apk": {"postinstall": "packaging/alpine/post-install", "preremove": "packaging/alpine/pre-deinstall"},
	"ipk": {"postinstall": "packaging/openwrt/postinst", "preremove": "packaging/openwrt/prerm"},
}

// file is one that is installed, in the packages of kinds.
type file struct {
	from, to string
	mode     os.FileMode
	kinds    string
}

// completions is where shells look for what completes the program's arguments.
var completions = map[string]string{
	"bash": "/usr/share/bash-completion/completions/fieldbridge",
	"zsh":  "/usr/share/zsh/vendor-completions/_fieldbridge",
	"fish": "/usr/share/fish/vendor_completions.d/fieldbridge.fish",
}

const configuration = "/etc/fieldbridge/fieldbridge.yaml"

// files returns what a package of t holds. OpenWrt's flash is small: it gets the
// program alone.
func (s *shipment) files(t target) []file {
	const doc, units = "/usr/share/doc/fieldbridge/", "/usr/lib/systemd/system/"
	files := []file{
		{s.binary(t), "/usr/bin/fieldbridge", 0o755, "deb rpm apk ipk"},
		{"packaging/fieldbridge.yaml", configuration, 0o644, "deb rpm apk ipk"},
		{"packaging/openwrt/fieldbridge.init", "/etc/init.d/fieldbridge", 0o755, "ipk"},
		{"packaging/alpine/fieldbridge.init", "/etc/init.d/fieldbridge", 0o755, "apk"},
		{"packaging/systemd/fieldbridge.service", units + "fieldbridge.service", 0o644, "deb rpm"},
		{"packaging/systemd/fieldbridge-power-fail.service", units + "fieldbridge-power-fail.service", 0o644, "deb rpm"},
		{"packaging/systemd/fieldbridge.sysusers", "/usr/lib/sysusers.d/fieldbridge.conf", 0o644, "rpm"},
		{s.notices, doc + "THIRD-PARTY-NOTICES.txt", 0o644, "deb rpm apk"},
		{"packaging/debian/copyright", doc + "copyright", 0o644, "deb"},
		{"LICENSE", doc + "LICENSE", 0o644, "rpm apk"},
		{"CHANGELOG.md", doc + "CHANGELOG.md", 0o644, "deb rpm apk"},
		{filepath.Join(s.work, "changelog.gz"), doc + "changelog.gz", 0o644, "deb"},
		{"packaging/debian/lintian-overrides", "/usr/share/lintian/overrides/fieldbridge", 0o644, "deb"},
	}
	for shell, to := range completions {
		files = append(files, file{filepath.Join(s.work, "completion."+shell), to, 0o644, "deb rpm apk"})
	}
	for _, page := range s.pages {
		packed := filepath.Base(page) + ".gz"
		files = append(files, file{filepath.Join(s.work, packed), "/usr/share/man/man1/" + packed, 0o644, "deb rpm apk"})
	}
	return files
}

// recipe returns what all packages have.
func (s *shipment) recipe(t target, kind, name, description string) recipe {
	return recipe{Name: name, Arch: t.packages[kind], Platform: "linux", Version: packaged(s.version, kind),
		VersionSchema: "none", Section: "net", Priority: "optional", Maintainer: maintainer, Description: description,
		Homepage: "https://fieldbridge.example", License: "Apache-2.0", Time: s.at}
}

// pack has nfpm make one package.
func (s *shipment) pack(t target, kind string) error {
	r := s.recipe(t, kind, t.product(), description)
	r.Contents = []content{{To: filepath.Dir(configuration), Type: "dir", Info: info{0o755, s.at}}}
	if t.small {
		r.Conflicts = []string{"fieldbridge"}
	}
	r.Scripts = maps.Clone(scripts[kind])
	switch kind {
	case "deb":
		r.Depends = []string{"adduser", "debconf (>= 0.5) | debconf-2.0"}
		r.Deb.Scripts = map[string]string{"templates": "packaging/debian/templates", "config": "packaging/debian/config"}
	case "apk":
		r.APK.Scripts = map[string]string{"postupgrade": "packaging/alpine/post-upgrade"}
	}
	for _, f := range s.files(t) {
		if !strings.Contains(f.kinds, kind) {
			continue
		}
		c := content{From: f.from, To: f.to, Info: info{f.mode, s.at}}
		if f.to == configuration {
			c.Type = "config|noreplace"
		}
		r.Contents = append(r.Contents, c)
	}
	for _, names := range []map[string]string{r.Scripts, r.Deb.Scripts, r.APK.Scripts} {
		if err := s.steadyScripts(names); err != nil {
			return err
		}
	}
	return s.nfpm(&r, kind)
}

// helperDescription is of the package of the helper, and helperNeeds what it needs, by
// kind of package: Alpine and OpenWrt have another C library.
const helperDescription = `PKCS #11 tokens as the key store of Fieldbridge
The gateway starts this program for each signature of a key in a smart card,
a security module or another PKCS #11 token, so that a vendor's library that
hangs or crashes does not take the gateway with it.
`

var helperNeeds = map[string][]string{"deb": {"fieldbridge", "libc6"}, "rpm": {"fieldbridge", "glibc"}}

// packHelper makes the package of the helper for tokens.
func (s *shipment) packHelper(t target, kind string, needs []string) error {
	const doc = "/usr/share/doc/" + helper + "/"
	r := s.recipe(t, kind, helper, helperDescription)
	r.Depends = needs
	for _, f := range []file{
		{s.helper(t), "/usr/bin/" + helper, 0o755, "deb rpm"},
		{filepath.Join(s.work, helper+".1.gz"), "/usr/share/man/man1/" + helper + ".1.gz", 0o644, "deb rpm"},
		{"packaging/debian/copyright", doc + "copyright", 0o644, "deb"},
		{"packaging/p11/lintian-overrides", "/usr/share/lintian/overrides/" + helper, 0o644, "deb"},
		{"LICENSE", doc + "LICENSE", 0o644, "rpm"},
		{filepath.Join(s.work, helper+"-changelog.gz"), doc + "changelog.gz", 0o644, "deb"},
	} {
		if strings.Contains(f.kinds, kind) {
			r.Contents = append(r.Contents, content{From: f.from, To: f.to, Info: info{f.mode, s.at}})
		}
	}
	return s.nfpm(&r, kind)
}

// nfpm makes the package of a recipe.
func (s *shipment) nfpm(r *recipe, kind string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(s.work, "nfpm-"+kind+".json")
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	out := filepath.Join(s.out, fmt.Sprintf("%s_%s_%s.%s", r.Name, s.version, r.Arch, kind))
	cmd := exec.Command("go", "tool", "-modfile=tools/nfpm/go.mod", "nfpm", "package", "--config", name,
		"--packager", kind, "--target", out)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", s.at.Unix()))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

// steadyScripts makes names those of copies with the commit's time, which Alpine's
// packages tell, and not the time when this folder was checked out.
func (s *shipment) steadyScripts(names map[string]string) error {
	for what, from := range names {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		names[what] = filepath.Join(s.work, what)
		if err := os.WriteFile(names[what], text, 0o755); err != nil {
			return err
		}
		if err := os.Chtimes(names[what], s.at, s.at); err != nil {
			return err
		}
	}
	return nil
}

// write puts text that packages hold into a file of the work folder; what man(1) and
// Debian take packed is packed.
func (s *shipment) write(name string, text []byte) (err error) {
	if filepath.Ext(name) == ".gz" {
		if text, err = gzipped(text); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(s.work, name), text, 0o644)
}

// papers writes what packages hold beside the program: the changelog as Debian has
// it, the manual, and what completes command lines.
func (s *shipment) papers() error {
	for name, product := range map[string]string{"changelog.gz": "fieldbridge", helper + "-changelog.gz": helper} {
		entry := fmt.Sprintf("%s (%s) stable; urgency=medium\n\n  * See CHANGELOG.md of fieldbridge.\n\n -- %s  %s\n",
			product, packaged(s.version, "deb"), maintainer, s.at.Format(time.RFC1123Z))
		if err := s.write(name, []byte(entry)); err != nil {
			return err
		}
	}
	for _, page := range append(s.pages[:len(s.pages):len(s.pages)], "packaging/p11/"+helper+".1") {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		if err := s.write(filepath.Base(page)+".gz", text); err != nil {
			return err
		}
	}
	here := filepath.Join(s.work, "here", "fieldbridge")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", here, "./cmd/fieldbridge")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	for shell := range completions {
		text, err := exec.Command(here, "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("completion of %s: %w", shell, err)
		}
		if err := s.write("completion."+shell, text); err != nil {
			return err
		}
	}
	return nil
}
