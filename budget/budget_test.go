package budget

import (
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
)

func TestDetect(t *testing.T) {
	const mib = 1 << 20
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	machine := file("MemFree: 1 kB\nMemTotal:       1048576 kB\n") // 1 GiB
	for name, tt := range map[string]struct {
		files      fstest.MapFS
		configured int64
		want       Limit
	}{
		"configured": {fstest.MapFS{"proc/meminfo": machine}, 96 * mib, Limit{96 * mib, "memory"}},
		"the machine": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n")}, 0,
			Limit{256 * mib, "a quarter of the machine"}},
		"a small machine": {fstest.MapFS{"proc/meminfo": file("MemTotal: 131072 kB\n")}, 0,
			Limit{64 * mib, "a quarter of the machine"}},
		"nothing known": {fstest.MapFS{}, 0, Limit{64 * mib, "a quarter of the machine"}},
		"version 2": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/system.slice/fb.service\n"),
			"sys/fs/cgroup/system.slice/fb.service/memory.max": file("134217728\n")}, 0, Limit{128 * mib, "the control group"}},
		"version 2, the slice has less": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("67108864\n")}, 0,
			Limit{64 * mib, "the control group"}},
		"version 2, in a container": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/docker/x\n"),
			"sys/fs/cgroup/memory.max": file("33554432\n")}, 0, Limit{32 * mib, "the control group"}},
		"version 1": {fstest.MapFS{"proc/meminfo": machine,
			"proc/self/cgroup": file("4:cpu,cpuacct:/x\n3:memory:/fb\n0::/\n"),
			"sys/fs/cgroup/memory/fb/memory.limit_in_bytes": file("67108864\n")}, 0, Limit{64 * mib, "the control group"}},
		"version 1, unlimited": {fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("3:memory:/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 0,
			Limit{256 * mib, "a quarter of the machine"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := detect(tt.files, tt.configured); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got := Detect(0); got.Bytes < smallest/2 {
		t.Errorf("this machine: %+v", got)
	}
}

func TestPool(t *testing.T) {
	p := NewPool(100)
	if !p.Take("a", 60) || p.Take("b", 41) || !p.Take("b", 40) || p.Take("c", 1) {
		t.Error("100 bytes are not 60 and 40")
	}
	if owner, n := p.Largest(); owner != "a" || n != 60 {
		t.Errorf("the largest is %s with %d", owner, n)
	}
	p.Give("a", 30)
	if owner, n := p.Largest(); owner != "b" || n != 40 {
		t.Errorf("the largest is %s with %d", owner, n)
	}
	p.Force("c", 500)
	if used, most := p.Used(); used != 570 || most != 100 || p.Take("a", 1) {
		t.Errorf("%d of %d", used, most)
	}
	if n := p.Drop("c"); n != 500 || p.Of("c") != 0 || p.Of("a") != 30 {
		t.Errorf("dropped %d, left %v", n, p.by)
	}
	p.Resize(70)
	if p.Take("a", 1) {
		t.Error("more than it was made smaller to")
	}
	p.Give("a", 30)
	p.Give("b", 40)
	if owner, n := p.Largest(); owner != "" || n != 0 || len(p.by) != 0 {
		t.Errorf("an unused pool: %s with %d, %v", owner, n, p.by)
	}
}

// TestPoolTogether: what many take at once never exceeds the pool.
func TestPoolTogether(t *testing.T) {
	p := NewPool(1000)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			owner := fmt.Sprint(i)
			for range 1000 {
				if p.Take(owner, 100) {
					if used, most := p.Used(); used > most {
						t.Errorf("%d of %d", used, most)
					}
					p.Give(owner, 100)
				}
			}
		})
	}
	all.Wait()
	if used, _ := p.Used(); used != 0 {
		t.Errorf("%d left", used)
	}
}
