package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fieldbridge/needtest"
)

// mounted mounts something on a new folder, or skips.
func mounted(t *testing.T, what, kind string, flags uintptr, data string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount(what, dir, kind, flags, data); err != nil {
		needtest.Missing(t, "mount %s with %q: %v (it needs root)", kind, data, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// image makes a file system in a file and mounts it, or skips.
func image(t *testing.T, options string, mkfs ...string) (dir string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image")
	dir = t.TempDir()
	needtest.Program(t, mkfs[0])
	kind := strings.TrimPrefix(mkfs[0], "mkfs.")
	if known, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(known), "\t"+kind+"\n") {
		t.Skipf("this kernel has no %s, which no package brings", kind)
	}
	for _, args := range [][]string{{"truncate", "-s", "4M", file}, append(mkfs, file),
		{"mount", "-o", "loop," + options, file, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			needtest.Missing(t, "%v: %v: %s (it needs root and loop devices)", args, err, out)
		}
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// overlay mounts one whose upper folder lies in upper.
func overlay(t *testing.T, upper, more string) (dir string) {
	t.Helper()
	data := "lowerdir=" + t.TempDir()
	for name, key := range map[string]string{"upper": "upperdir", "work": "workdir"} {
		path := filepath.Join(upper, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		data += "," + key + "=" + path
	}
	return mounted(t, "overlay", "overlay", 0, data+more)
}

// TestPlaces asks where folders lie on what is really mounted.
func TestPlaces(t *testing.T) {
	for name, tt := range map[string]struct {
		mount func(t *testing.T) string
		kind  PlaceKind
		said  string // the type, within what is told
	}{
		"a folder for temporary files": {func(t *testing.T) string { return t.TempDir() }, OnDisk, ""},
		"ext4":                         {func(t *testing.T) string { return image(t, "rw", "mkfs.ext4", "-q") }, OnDisk, ""},
		"ext4, read-only": {func(t *testing.T) string { return image(t, "ro", "mkfs.ext4", "-q") }, ReadOnly,
			"read-only (ext4)"},
		"tmpfs": {func(t *testing.T) string { return mounted(t, "tmpfs", "tmpfs", 0, "") }, InMemory, "(tmpfs)"},
		"tmpfs, read-only": {func(t *testing.T) string { return mounted(t, "tmpfs", "tmpfs", syscall.MS_RDONLY, "") },
			ReadOnly, "read-only (tmpfs)"},
		"ramfs": {func(t *testing.T) string { return mounted(t, "ramfs", "ramfs", 0, "") }, InMemory, "(ramfs)"},
		"overlay": {func(t *testing.T) string { return overlay(t, image(t, "rw", "mkfs.ext4", "-q"), "") }, InLayer,
			"(overlay)"},
		"overlay volatile": {func(t *testing.T) string {
			return overlay(t, image(t, "rw", "mkfs.ext4", "-q"), ",volatile")
		}, Unsynced, "overlay, mounted volatile"},
		"overlay over tmpfs": {func(t *testing.T) string { return overlay(t, mounted(t, "tmpfs", "tmpfs", 0, ""), "") },
			InMemory, "(overlay over tmpfs)"},
		"vfat": {func(t *testing.T) string { return image(t, "rw", "mkfs.vfat") }, Unsynced, "on vfat,"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tt.mount(t)
			below := filepath.Join(dir, "not", "made", "yet")
			for _, dir := range []string{dir, below} {
				p := PlaceOf(dir)
				text, fix := p.Tell(dir)
				if p.Kind != tt.kind || !strings.Contains(text, tt.said) || (fix != "") != (tt.kind != OnDisk) {
					t.Errorf("%s: %+v, %q, %q", dir, p, text, fix)
				}
			}
			if p := PlaceOf(filepath.Join(below, "..", "..", "..")); p.Kind != tt.kind {
				t.Errorf("by a roundabout name: %+v", p)
			}
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			if p := PlaceOf(link); p.Kind != tt.kind {
				t.Errorf("by a link: %+v", p)
			}
		})
	}
	if p := PlaceOf("/proc/queue"); p.Kind != OfKernel {
		t.Errorf("/proc/queue: %+v", p)
	}
}

// TestAllowed: nobody is kept out by the mode of a folder, of one above it too, before
// and after it is made.
func TestAllowed(t *testing.T) {
	if dirs := os.Getenv("ALLOWED_DIRS"); dirs != "" {
		for dir := range strings.SplitSeq(dirs, ":") {
			fmt.Printf("%s %v\n", filepath.Base(dir), Allowed(dir))
		}
		return
	}
	if os.Getuid() != 0 {
		needtest.Missing(t, "become another user: it needs root")
	}
	top := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(top), 0o755), os.Mkdir(filepath.Join(top, "closed"), 0o700),
		os.Mkdir(filepath.Join(top, "closed", "there"), 0o777), os.Mkdir(filepath.Join(top, "open"), 0o700),
		os.Chmod(filepath.Join(top, "open"), 0o777), os.Mkdir(filepath.Join(top, "seen"), 0o755)); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, dir := range []string{"closed", "closed/there", "closed/not", "open", "open/made", "seen", "seen/made"} {
		dirs = append(dirs, filepath.Join(top, dir))
	}
	nobody := exec.Command("/proc/self/exe", "-test.run=^TestAllowed$")
	nobody.Env = append(os.Environ(), "ALLOWED_DIRS="+strings.Join(dirs, ":"))
	nobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := nobody.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, dir := range dirs {
		line := strings.Split(string(out), "\n")[i]
		if refused := strings.Contains(line, "permission denied"); refused == strings.HasPrefix(dir, top+"/open") {
			t.Errorf("%s: %s", dir, line)
		}
		if err := Allowed(dir); err != nil {
			t.Errorf("root: %v", err)
		}
	}
}

// TestPlacesTold: each kind of place says where the folder is, what comes of it and what
// to do.
func TestPlacesTold(t *testing.T) {
	said := make(map[string]bool)
	for magic, p := range places {
		text, fix := p.Tell("/q")
		if !strings.Contains(text, "/q") || !strings.Contains(text, p.Type) || fix == "" || said[text] {
			t.Errorf("%#x: %q, %q", magic, text, fix)
		}
		said[text] = true
	}
	if text, fix := (Place{}).Tell("/q"); text != "" || fix != "" {
		t.Errorf("a disk: %q, %q", text, fix)
	}
}

func TestFindMount(t *testing.T) {
	const text = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:26 / /run rw,nosuid shared:5 master:2 - tmpfs tmpfs rw,size=1k
31 30 8:1 /srv/a\040b /run/a\040b rw - ext4 /dev/sda1 rw
32 21 0:40 / /var rw - overlay overlay rw,lowerdir=/,upperdir=/up\040per,workdir=/w,volatile
33 32 0:41 / /var rw - tmpfs tmpfs rw
broken
34 21 0:42 /x /odd
`
	for dir, want := range map[string]Mount{
		"/":          {Root: "/", Point: "/", Type: "ext4"},
		"/runs":      {Root: "/", Point: "/", Type: "ext4"},
		"/run/x":     {Root: "/", Point: "/run", Type: "tmpfs"},
		"/run/a b/c": {Root: "/srv/a b", Point: "/run/a b", Type: "ext4"},
		"/var/lib":   {Root: "/", Point: "/var", Type: "tmpfs"}, // the last is on top
		"/odd":       {Root: "/x", Point: "/odd"},
	} {
		if got := FindMount(text, dir); got != want {
			t.Errorf("%s: %+v, want %+v", dir, got, want)
		}
	}
	upper := Mount{Root: "/", Point: "/var", Type: "overlay", Upper: "/up per", Volatile: true}
	if got := FindMount(text[:strings.Index(text, "33 32")], "/var/lib"); got != upper {
		t.Errorf("%+v, want %+v", got, upper)
	}
}

// FuzzFindMount: whatever the kernel says, a mount that is found has the folder in it.
func FuzzFindMount(f *testing.F) {
	f.Add("31 30 8:1 /a\\040b /run/a\\040b rw - overlay o rw,upperdir=/u,volatile\n", "/run/a b/c")
	f.Add("1 2 3 / / - \n", "/")
	f.Fuzz(func(t *testing.T, text, dir string) {
		if m := FindMount(text, dir); m != (Mount{}) && !within(dir, m.Point) {
			t.Errorf("%+v for %q", m, dir)
		}
	})
}

// TestAdviceOfFailures: what a person can do differs.
func TestAdviceOfFailures(t *testing.T) {
	for err, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "make room", syscall.EDQUOT: "make room", syscall.EROFS: "read-only",
		syscall.EACCES: "correct the owner",
		syscall.ESTALE: "bring it back", syscall.ENOTCONN: "bring it back", syscall.EHOSTDOWN: "bring it back",
		syscall.ENODEV: "plug it in", syscall.EIO: "replace it",
	} {
		if got := Advice(&os.PathError{Op: "write", Path: "x", Err: err}); !strings.Contains(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}
