package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestFilePages(t *testing.T) {
	part := func(addresses, rights, file, anonymous string) string {
		return fmt.Sprintf("%s %s 00001000 fe:00 1234                       %s\nSize:               7180 kB\nRss:                6000 kB\nAnonymous:         %s kB\nVmFlags: rd ex mr mw me\n",
			addresses, rights, file, anonymous)
	}
	const exe = "/opt/a b/fieldbridge"
	smaps := part("00401000-00b04000", "r-xp", exe, "0") +
		part("00b04000-00ea5000", "r--p", exe, "0") +
		part("00ea5000-00ea6000", "r--p", exe, "4") + // was relocated
		part("00ea6000-00f00000", "rw-p", exe, "0") +
		part("00f00000-00f00000", "r--p", exe, "0") +
		part("7f0000000000-7f0000001000", "r-xp", "[vdso]", "0") +
		part("7f0000002000-7f0000003000", "r--p", "/usr/lib/other", "0") +
		"xyz r-xp 0 0 0 " + exe + "\nAnonymous: 0 kB\n\nAnonymous:\n"
	got := filePages(strings.NewReader(smaps), exe)
	if want := []mapping{{0x401000, 0xb04000}, {0xb04000, 0xea5000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestReleasePages: the program's own are found, and it goes on without them.
func TestReleasePages(t *testing.T) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("there is no /proc")
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("there is no smaps")
	}
	defer smaps.Close()
	if len(filePages(smaps, exe)) == 0 {
		t.Error("nothing was found")
	}
	for n := range 3 {
		releasePages()
		if got := fmt.Sprint(n, "th time"); got == "" {
			t.Error("nothing printed")
		}
	}
}
