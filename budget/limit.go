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
	if group := groupLimit(root); group < math.MaxInt64 {
		return Limit{group, "the control group"}
	}
	return Limit{max(machineMemory(root)/4, smallest), "a quarter of the machine"}
}

// groupLimit returns the least limit of the process's control groups;
// [math.MaxInt64] if there is none.
func groupLimit(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" { // version 1: a hierarchy of its own for each controller
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// Within a container the path may be that of the host, which is not there:
		// then the root of what is mounted is the group.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n, ok := number(root, path.Join(base, dir, file)); ok {
				least = min(least, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	if machine := machineMemory(root); machine > 0 && least >= machine {
		return math.MaxInt64 // "unlimited" of version 1 is a huge number
	}
	return least
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
