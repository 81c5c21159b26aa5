package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// places are the file systems that are not as a disk of this machine, by their number
// (statfs(2), linux/magic.h).
var places = map[uint32]Place{
	0x01021994: {InMemory, "tmpfs"},
	0x858458f6: {InMemory, "ramfs"},
	0x794c7630: {InLayer, "overlay"},
	0x61756673: {InLayer, "aufs"},
	0x6969:     {Elsewhere, "nfs"},
	0x517b:     {Elsewhere, "smbfs"},
	0xff534d42: {Elsewhere, "cifs"},
	0xfe534d42: {Elsewhere, "smb3"},
	0x00c36400: {Elsewhere, "ceph"},
	0x5346414f: {Elsewhere, "afs"},
	0x01021997: {Elsewhere, "9p"},
	0x65735546: {Unsynced, "fuse"},
	0x4d44:     {Unsynced, "vfat"},
	0x2011bab0: {Unsynced, "exfat"},
	0x7366746e: {Unsynced, "ntfs3"},
	0x73717368: {ReadOnly, "squashfs"},
	0xe0f5e1e2: {ReadOnly, "erofs"},
	0x9660:     {ReadOnly, "iso9660"},
	0x9fa0:     {OfKernel, "proc"},
	0x62656572: {OfKernel, "sysfs"},
	0x27e0eb:   {OfKernel, "cgroup"},
	0x63677270: {OfKernel, "cgroup2"},
	0x64626720: {OfKernel, "debugfs"},
	0x74726163: {OfKernel, "tracefs"},
	0x73636673: {OfKernel, "securityfs"},
	0xcafe4a11: {OfKernel, "bpf"},
	0x62656570: {OfKernel, "configfs"},
	0x6165676c: {OfKernel, "pstore"},
	0xde5e81e4: {OfKernel, "efivarfs"},
	0x1cd1:     {OfKernel, "devpts"},
}

// readOnly is ST_RDONLY of statfs(2).
const readOnly = 1

// PlaceOf returns where dir lies, or would if it was made. A folder below that for
// temporary files, on the same file system as that, is a trial: it may be anything that
// can be written.
func PlaceOf(dir string) Place {
	dir = existing(dir)
	p := placeOf(dir)
	if p.Kind != OnDisk && p.Kind != ReadOnly && isTrial(dir) {
		return Place{}
	}
	return p
}

func placeOf(dir string) Place {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Place{} // whoever writes there says why
	}
	p := places[uint32(st.Type)]
	closed := int64(st.Flags)&readOnly != 0
	if p.Kind == OnDisk && !closed {
		return p
	}
	text, _ := os.ReadFile("/proc/self/mountinfo") // without it less is told
	m := FindMount(string(text), dir)
	if m.Type != "" && (p.Type == "" || p.Type == "fuse") {
		p.Type = m.Type // "fuse.sshfs" says more
	}
	switch {
	case p.Kind == OfKernel: // mounted read-only or not
	case closed:
		p.Kind = ReadOnly
	case p.Type == "fuse.sshfs", p.Type == "fuse.glusterfs":
		p.Kind = Elsewhere
	case p.Kind == InLayer:
		return layer(p, m)
	}
	return p
}

// layer says where an overlay lies: what is written to it goes to its upper folder. That
// of a container is the host's, which cannot be seen from inside. OpenWrt and boxes with
// a read-only root have theirs within sight, on flash or in memory.
func layer(p Place, m Mount) Place {
	if m.Volatile { // no sync reaches the disk
		return Place{Unsynced, p.Type + ", mounted volatile"}
	}
	if _, err := os.Stat(m.Upper); m.Upper == "" || err != nil {
		return p
	}
	below := placeOf(m.Upper)
	if below.Kind == OnDisk && m.Point != "/" {
		return p
	}
	below.Type = p.Type + " over " + below.Type
	return below
}

// existing returns the nearest folder that is there.
func existing(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	for {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return real
		}
		if filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// Allowed says why this user may not make or write the folder dir, nil if nothing of
// that is known. A file system that is read-only is no matter of the user.
func Allowed(dir string) error {
	const enter, write = 1, 2 // X_OK and W_OK of access(2)
	if err := syscall.Access(existing(dir), enter|write); err != nil && !errors.Is(err, syscall.EROFS) {
		return &os.PathError{Op: "the queue's folder", Path: dir, Err: err}
	}
	return nil
}

// isTrial reports whether dir is below the folder for temporary files, with nothing
// mounted in between.
func isTrial(dir string) bool {
	temp := existing(os.TempDir())
	var a, b syscall.Stat_t
	return within(dir, temp) && syscall.Stat(temp, &a) == nil && syscall.Stat(dir, &b) == nil && a.Dev == b.Dev
}

// Mount is what /proc/self/mountinfo says of one.
type Mount struct {
	Root     string // of the file system, what is mounted: "/" is all of it
	Point    string // where
	Type     string // "ext4"
	Upper    string // of an overlay: where what is written goes
	Volatile bool   // of an overlay: a sync does nothing
}

// FindMount finds the mount on which dir lies in a text as proc_pid_mountinfo(5)
// describes it; the zero Mount if there is none.
func FindMount(text, dir string) (found Mount) {
	longest := -1
	for line := range strings.Lines(text) {
		head, tail, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(head), strings.Fields(tail) // id, parent, device, root, mount point ... - type ...
		if len(f) < 5 {
			continue
		}
		point := unescape.Replace(f[4])
		if !within(dir, point) || len(point) < longest {
			continue // of several at one place the last is on top
		}
		longest, found = len(point), Mount{Root: unescape.Replace(f[3]), Point: point}
		if len(g) == 0 {
			continue
		}
		found.Type = g[0]
		for option := range strings.SplitSeq(g[len(g)-1], ",") {
			if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
				found.Upper = unescape.Replace(upper)
			}
			// Newer kernels show it as fsync=volatile.
			found.Volatile = found.Volatile || option == "volatile" || option == "fsync=volatile"
		}
	}
	return found
}

// within reports whether a path is that of a folder or below it.
func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// unescape undoes what the kernel does to a path in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
