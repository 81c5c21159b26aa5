package budget

import (
	"io/fs"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"
	"time"
)

func TestGroupUse(t *testing.T) {
	const mib = 1 << 20
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	machine := file("MemTotal:       1048576 kB\n") // 1 GiB
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  Use
	}{
		"none": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n")}, Use{}},
		"version 2, of the slice above": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("67108864\n"),
			"sys/fs/cgroup/a/memory.current": file("62914560\n"), "sys/fs/cgroup/a/b/memory.current": file("1\n"),
			"sys/fs/cgroup/a/memory.stat": file("anon 5\nfile 20971520\nshmem 4194304\nodd\nfile_mapped x\n")},
			Use{44 * mib, 64 * mib, "the control group"}},
		"version 2, without details": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max":     file("67108864\n"),
			"sys/fs/cgroup/memory.current": file("62914560\n")},
			Use{60 * mib, 64 * mib, "the control group"}},
		"version 2, unreadable": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"),
			"sys/fs/cgroup/memory.max": file("67108864\n")}, Use{}},
		"version 1": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("3:memory:/fb\n"),
			"sys/fs/cgroup/memory/fb/memory.limit_in_bytes": file("67108864\n"),
			"sys/fs/cgroup/memory/fb/memory.usage_in_bytes": file("62914560\n"),
			"sys/fs/cgroup/memory/fb/memory.stat":           file("cache 1\ntotal_cache 31457280\ntotal_shmem 1048576\n")},
			Use{31 * mib, 64 * mib, "the control group"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Gauge{root: tt.files}).groupUse(time.Now()); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// counting counts the files that are opened.
type counting struct {
	files  fs.FS
	opened *int
}

func (c counting) Open(name string) (fs.File, error) {
	*c.opened++
	return c.files.Open(name)
}

// TestGroupIsFoundOnce: the groups are looked through once a minute, not at each look at
// the memory, and a limit that changes is seen then.
func TestGroupIsFoundOnce(t *testing.T) {
	const mib = 1 << 20
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	files := fstest.MapFS{"proc/meminfo": file("MemTotal: 1048576 kB\n"), "proc/self/cgroup": file("0::/a\n"),
		"sys/fs/cgroup/a/memory.max": file("67108864\n"), "sys/fs/cgroup/a/memory.current": file("1048576\n")}
	opened, now := 0, time.Unix(0, 0)
	g := &Gauge{root: counting{files, &opened}}
	g.groupUse(now)
	opened = 0
	if got := g.groupUse(now.Add(2 * time.Second)); got.Limit != 64*mib || opened != 2 {
		t.Errorf("%+v, and %d files were opened, want 2", got, opened)
	}
	files["sys/fs/cgroup/a/memory.max"] = file("max\n")
	if got := g.groupUse(now.Add(findAgain)); got.Limit != 0 {
		t.Errorf("the limit was lifted: %+v", got)
	}
	opened = 0
	if g.groupUse(now.Add(findAgain + 2*time.Second)); opened != 0 {
		t.Errorf("without a limit %d files were opened", opened)
	}
	files["sys/fs/cgroup/a/memory.max"] = file("33554432\n")
	if got := g.groupUse(now.Add(2 * findAgain)); got.Limit != 32*mib {
		t.Errorf("a limit came: %+v", got)
	}
}

// TestHeapUse: what lives counts, and garbage does not; without a limit nothing is near
// it.
func TestHeapUse(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	g := NewGauge()
	g.root = fstest.MapFS{}
	runtime.GC()
	before := g.Read()
	kept := make([]byte, 64<<20)
	runtime.GC()
	during := g.Read()
	runtime.KeepAlive(kept)
	runtime.GC()
	after := g.Read()
	if before.Limit != 1<<30 || before.Of != "the limit of the heap" || before.Bytes <= 0 {
		t.Errorf("before: %+v", before)
	}
	if more := during.Bytes - before.Bytes; more < 60<<20 || more > 80<<20 {
		t.Errorf("64 MiB that live are %d bytes more", more)
	}
	if less := during.Bytes - after.Bytes; less < 60<<20 {
		t.Errorf("64 MiB that do not are %d bytes less", less)
	}
	debug.SetMemoryLimit(during.Bytes)
	if u := (Use{Bytes: during.Bytes, Limit: during.Bytes}); !u.Above(7) || (Use{}).Above(0) || after.Above(7) {
		t.Errorf("%+v is near its limit, %+v is not", u, after)
	}
}
