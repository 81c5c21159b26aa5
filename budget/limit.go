package budget

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Limit is how much memory the process may use, in bytes, and who says so.
type Limit struct {
	Bytes int64
	From  string // for people: "memory", "the control group", "a quarter of the machine"
}

// smallest is what a gateway needs at the least; less than it is not taken from
// the machine's size, but a control group's limit is what it is.
const smallest = 64 << 20

// Detect returns the limit: what the configuration says, else that of the
// control group (version 1 or 2, the least on the way up), else a quarter of the
// machine's memory.
func Detect(configured int64) Limit { return detect(os.DirFS("/"), configured) }

func detect(root fs.FS, configured int64) Limit {
	if configured > 0 {
		return Limit{configured, "memory"}
	}
	if least, ok := leastGroup(root); ok {
		return Limit{least.limit, "the control group"}
	}
	return Limit{max(machineMemory(root)/4, smallest), "a quarter of the machine"}
}

// group is a control group that limits memory.
type group struct {
	dir   string // of its files
	old   bool   // version 1
	limit int64
}

// leastGroup returns that of the process's control groups, and of those above them, that
// has the least limit.
func leastGroup(root fs.FS) (least group, ok bool) {
	least.limit = math.MaxInt64
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least, false
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file, old := "sys/fs/cgroup", "memory.max", parts[1] != ""
		if old { // a hierarchy of its own for each controller
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// Within a container the path may be that of the host, which is not there:
		// then the root of what is mounted is the group.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n, ok := number(root, path.Join(base, dir, file)); ok && n < least.limit {
				least = group{path.Join(base, dir), old, n}
			}
			if dir == "/" {
				break
			}
		}
	}
	if machine := machineMemory(root); machine > 0 && least.limit >= machine {
		return least, false // "unlimited" of version 1 is a huge number
	}
	return least, least.limit < math.MaxInt64
}

// number reads a file that holds a number of bytes; "max" means no limit.
func number(root fs.FS, name string) (int64, bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil && n > 0
}

// machineMemory returns the machine's memory in bytes; 0 if that is not known.
func machineMemory(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
