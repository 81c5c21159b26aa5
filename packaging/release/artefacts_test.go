package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"fieldbridge/minisign"
	"fieldbridge/needtest"
)

// must runs a command in a folder and returns what it says.
func must(t *testing.T, dir string, words ...string) string {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", words, err, out)
	}
	return string(out)
}

// copied returns another folder with what this checkout holds.
func copied(t *testing.T) string {
	t.Helper()
	if err := exec.Command("git", "rev-parse").Run(); err != nil {
		needtest.Missing(t, "what belongs to the checkout is told by git: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "else", "where")
	for name := range strings.SplitSeq(must(t, "../..", "git", "ls-files", "-z", "-co", "--exclude-standard"), "\x00") {
		from, to := filepath.Join("..", "..", name), filepath.Join(dir, name)
		text, err := os.ReadFile(from)
		if name == "" || errors.Is(err, os.ErrNotExist) {
			continue // it was deleted, and that is not committed
		}
		info, err := os.Stat(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, text, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestArtefacts makes all there is for this processor, twice, in two folders: the bytes
// are the same, and the tools of each kind find in them what belongs there.
func TestArtefacts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(key.File()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1795906800")
	t.Setenv("GOFLAGS", "-trimpath") // of its own tools, which it builds in each folder: once is enough
	tool := filepath.Join(t.TempDir(), "release")
	if err := needtest.Build(tool, "fieldbridge/packaging/release"); err != nil {
		t.Fatal(err)
	}
	var outs []string
	for _, dir := range []string{"../..", copied(t)} {
		out := filepath.Join(t.TempDir(), "dist")
		must(t, dir, tool, "--only", runtime.GOARCH, "--as", "0.1.0", "--sign", secret, out)
		outs = append(outs, out)
	}
	out := outs[0]
	t.Run("same bytes", func(t *testing.T) {
		if diff := must(t, ".", "diff", "-rq", out, outs[1]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("signed", func(t *testing.T) {
		must(t, out, needtest.Program(t, "minisign"), "-V", "-m", "SHA256SUMS", "-P", key.Public().String())
		must(t, out, "sha256sum", "--check", "--strict", "SHA256SUMS")
	})
	t.Run("debs", func(t *testing.T) {
		// It says nothing, not even of what is only advised.
		if said := must(t, ".", needtest.Program(t, "lintian"), "--allow-root", "--fail-on", "error",
			one(t, out, "fieldbridge_*.deb"), one(t, out, "fieldbridge-p11_*.deb")); said != "" {
			t.Error(said)
		}
	})
	t.Run("deb", func(t *testing.T) {
		deb, tool := one(t, out, "fieldbridge_*.deb"), needtest.Program(t, "dpkg-deb")
		has(t, must(t, ".", tool, "-c", deb), "./usr/bin/fieldbridge\n", "./usr/share/man/man1/fieldbridge-run.1.gz\n",
			"./usr/share/bash-completion/completions/fieldbridge\n", "./usr/share/zsh/vendor-completions/_fieldbridge\n",
			"./usr/share/fish/vendor_completions.d/fieldbridge.fish\n", "./usr/share/doc/fieldbridge/copyright\n",
			"./usr/lib/systemd/system/fieldbridge.service\n", "./usr/share/doc/fieldbridge/THIRD-PARTY-NOTICES.txt\n")
	})
	t.Run("rpm", func(t *testing.T) {
		rpm, file := needtest.Program(t, "rpm"), one(t, out, "fieldbridge_*.rpm")
		has(t, must(t, ".", rpm, "-qlp", file), "/usr/bin/fieldbridge\n", "/usr/lib/sysusers.d/fieldbridge.conf\n",
			"/usr/share/man/man1/fieldbridge.1.gz\n", "/usr/lib/systemd/system/fieldbridge.service\n")
		has(t, must(t, ".", rpm, "-qp", "--configfiles", file), "/etc/fieldbridge/fieldbridge.yaml\n")
		has(t, must(t, ".", rpm, "-qp", "--scripts", file), "postinstall scriptlet", "systemd-sysusers", "is kept")
		must(t, ".", rpm, "--checksig", "--nosignature", file)
	})
	t.Run("tokens", func(t *testing.T) {
		deb, tool := one(t, out, "fieldbridge-p11_*.deb"), needtest.Program(t, "dpkg-deb")
		has(t, must(t, ".", tool, "-f", deb), "Depends: fieldbridge, libc6\n")
		has(t, must(t, ".", needtest.Program(t, "rpm"), "-qp", "--requires", one(t, out, "fieldbridge-p11_*.rpm")), "glibc\n")
		root := t.TempDir()
		must(t, ".", tool, "-x", deb, root)
		said, err := exec.Command(root+"/usr/bin/fieldbridge-p11", "list", "/nowhere.so").CombinedOutput()
		if err == nil || !strings.Contains(string(said), "/nowhere.so") {
			t.Errorf("%v: %s", err, said)
		}
	})
	t.Run("apk", func(t *testing.T) {
		has(t, must(t, ".", "tar", "-tzf", one(t, out, "*.apk")), ".PKGINFO\n", ".post-install\n", ".post-upgrade\n",
			".pre-deinstall\n", "usr/bin/fieldbridge\n", "etc/init.d/fieldbridge\n")
	})
	t.Run("ipk", func(t *testing.T) {
		dir := t.TempDir()
		must(t, dir, "tar", "-xzf", one(t, out, "*.ipk"))
		has(t, must(t, dir, "tar", "-tzf", "data.tar.gz"), "usr/bin/fieldbridge\n", "etc/init.d/fieldbridge\n")
		has(t, must(t, dir, "tar", "-tzf", "control.tar.gz"), "control\n", "postinst\n", "prerm\n", "conffiles\n")
	})
	t.Run("tarball", func(t *testing.T) {
		dir, root := t.TempDir(), t.TempDir()
		must(t, dir, "tar", "-xzf", one(t, out, "*.tar.gz"))
		script := one(t, dir, "*/install.sh")
		has(t, must(t, ".", script, root), "does not run yet")
		if v := must(t, ".", root+"/usr/bin/fieldbridge", "version"); !strings.Contains(v, "0.1.0") {
			t.Error(v)
		}
		file := root + "/etc/fieldbridge/fieldbridge.yaml"
		if err := os.WriteFile(file, []byte("# mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, ".", script, root) // an upgrade
		if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\n" {
			t.Errorf("an upgrade replaced the configuration: %v, %s", err, text)
		}
	})
	t.Run("image", func(t *testing.T) { runImage(t, one(t, out, "*-oci.tar")) })
}

// one returns the only file of a pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// runImage unpacks an image as a runtime of containers does, each piece by its digest,
// and runs it as its user, with nothing to write to but its volume.
func runImage(t *testing.T, file string) {
	dir := t.TempDir()
	must(t, dir, "tar", "-xf", file)
	read := func(digest string, v any) []byte {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, "blobs", strings.ReplaceAll(digest, ":", "/")))
		if err != nil {
			t.Fatal(err)
		}
		if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); sum != digest {
			t.Fatalf("%s is %s", digest, sum)
		}
		if v != nil {
			if err := json.Unmarshal(content, v); err != nil {
				t.Fatal(err)
			}
		}
		return content
	}
	type list struct{ Manifests, Layers []descriptor }
	var outer, index, manifest list
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err == nil {
		err = json.Unmarshal(text, &outer)
	}
	if err != nil {
		t.Fatal(err)
	}
	read(outer.Manifests[0].Digest, &index)
	var head struct{ Config descriptor }
	read(index.Manifests[0].Digest, &manifest)
	read(index.Manifests[0].Digest, &head)
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
			Volumes    map[string]struct{}
		}
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	read(head.Config.Digest, &config)
	plain, err := gzip.NewReader(bytes.NewReader(read(manifest.Layers[0].Digest, nil)))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(plain)
	if err != nil || fmt.Sprintf("sha256:%x", sha256.Sum256(layer)) != config.Rootfs.DiffIDs[0] {
		t.Fatalf("the layer is not that of the configuration: %v", err)
	}
	if _, err := tar.NewReader(bytes.NewReader(layer)).Next(); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		needtest.Missing(t, "to run an image needs root")
	}
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "layer.tar"), layer, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, root, "tar", "-xpf", "../layer.tar")
	if _, ok := config.Config.Volumes["/var/lib/fieldbridge"]; !ok {
		t.Error("the queue is no volume")
	}
	said := must(t, root, "unshare", "--mount", "--pid", "--fork", "--net", "sh", "-c", `ip link set lo up && mkdir proc &&
		mount --bind . . && cd "$PWD" && mount -t proc none proc &&
		mount -t tmpfs -o mode=700,uid=65532 none var/lib/fieldbridge && mount -o remount,ro,bind . &&
		exec chroot --userspec="$1" . "$2" demo --for 3s --dir /var/lib/fieldbridge/demo`, "sh", config.Config.User,
		config.Config.Entrypoint[0])
	has(t, said, "dropped")
	t.Log(said)
}
