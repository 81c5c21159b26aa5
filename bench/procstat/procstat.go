// Package procstat reads what Linux says of a process: CPU, memory and I/O.
package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Sample of one process. CPU is in seconds, sizes in bytes.
type Sample struct {
	CPU        float64
	RSS, Peak  int64
	Anon, File int64 // of RSS: the process's own memory, and pages of files (its program among them)
	WriteBytes int64 // bytes sent to the block layer (pages dirtied), from /proc/PID/io
	WChar      int64 // bytes handed to write calls of any kind, sockets included
	Syscw      int64 // write system calls, sockets included
	Threads    int64
	Switches   int64 // of all threads that there are: given up and taken away
}

// Read takes a sample.
func Read(pid int) (Sample, error) {
	var s Sample
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
	u, _ := strconv.ParseFloat(f[11], 64)
	k, _ := strconv.ParseFloat(f[12], 64)
	s.CPU = (u + k) / 100 // USER_HZ is 100 on every Linux port Go supports here
	// /proc/PID/stat counts in 10 ms ticks; schedstat is finer but per thread: sum it.
	v, switches, ok := threads(pid)
	if s.Switches = switches; ok && v > 0 {
		s.CPU = max(s.CPU, v)
	}
	if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		for _, l := range strings.Split(string(b), "\n") {
			k, v, _ := strings.Cut(l, ":")
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			switch k {
			case "VmHWM":
				s.Peak = n << 10
			case "VmRSS":
				s.RSS = n << 10
			case "RssAnon":
				s.Anon = n << 10
			case "RssFile":
				s.File = n << 10
			case "Threads":
				s.Threads = n
			}
		}
	}
	if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)); err == nil {
		for _, l := range strings.Split(string(b), "\n") {
			k, v, _ := strings.Cut(l, ": ")
			n, _ := strconv.ParseInt(v, 10, 64)
			switch k {
			case "write_bytes":
				s.WriteBytes = n
			case "wchar":
				s.WChar = n
			case "syscw":
				s.Syscw = n
			}
		}
	}
	return s, nil
}

// threads gives CPU seconds and context switches of all threads, exactly; false where the kernel does not tell.
func threads(pid int) (cpu float64, switches int64, ok bool) {
	ents, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, 0, false
	}
	var ns float64
	for _, e := range ents {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, e.Name())); err == nil {
			for l := range strings.SplitSeq(string(b), "\n") {
				if k, v, _ := strings.Cut(l, ":"); strings.HasSuffix(k, "voluntary_ctxt_switches") {
					n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
					switches += n
				}
			}
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, e.Name()))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b))
		if len(f) == 0 {
			return 0, switches, false
		}
		v, _ := strconv.ParseFloat(f[0], 64)
		ns += v
	}
	return ns / 1e9, switches, true
}
