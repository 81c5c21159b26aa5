package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releasePages unmaps the pages of the program's own file that were used so far.
// Many were for the start alone: the parser of the configuration, checks, what
// packages do first. Those that are needed again are mapped again from the page
// cache, which the kernel keeps or takes as ever.
func releasePages() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range filePages(maps, exe) {
		// What can't be let go stays; there is nothing to do about it.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED)
	}
}

// mapping is a run of addresses.
type mapping struct{ start, end uintptr }

// filePages returns the mappings of a file in /proc/self/smaps (proc(5)) that
// have nothing but what the file has: they can't be written, and no page of them
// was before (as relocations are in some builds), which would be lost.
func filePages(smaps io.Reader, file string) (all []mapping) {
	var m mapping
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if !strings.HasSuffix(fields[0], ":") {
			m, ours = readOnly(fields, file)
		} else if ours && fields[0] == "Anonymous:" && len(fields) > 1 && fields[1] == "0" {
			all = append(all, m)
		}
	}
	return all
}

// readOnly reads the first line of a mapping, and reports whether it is of file
// and can't be written.
func readOnly(fields []string, file string) (m mapping, ok bool) {
	if len(fields) < 6 || fields[1] != "r-xp" && fields[1] != "r--p" || strings.Join(fields[5:], " ") != file {
		return m, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	return mapping{uintptr(start), uintptr(end)}, err1 == nil && err2 == nil && start < end
}
