package budget

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReleaseProgram: pages of the program's file are given back, and it runs on.
func TestReleaseProgram(t *testing.T) {
	mapped := func() int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "RssFile:")
		kib, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return kib
	}
	before := mapped()
	ReleaseProgram()
	if after := mapped(); after >= before {
		t.Errorf("%d KiB of files are mapped, before %d", after, before)
	}
}

func TestReadOnly(t *testing.T) {
	const file = "/usr/bin/field bridge"
	for line, want := range map[string][2]uintptr{
		"00400000-00c38000 r-xp 00000000 fe:00 1234   /usr/bin/field bridge":   {0x400000, 0xc38000},
		"00c38000-01511000 r--p 00838000 fe:00 1234   /usr/bin/field bridge":   {0xc38000, 0x1511000},
		"01511000-0157c000 rw-p 01111000 fe:00 1234   /usr/bin/field bridge":   {},
		"00400000-00c38000 r-xp 00000000 fe:00 1234   /lib/usr/bin/field":      {},
		"00400000-00c38000 r-xp 00000000 fe:00 1234   /x/usr/bin/field bridge": {},
		"c000000000-c000400000 rw-p 00000000 00:00 0":                          {},
		"7ffe-zz r--p 0 0 0 /usr/bin/field bridge":                             {},
		"": {},
	} {
		from, to, ok := readOnly(line, file)
		if got := [2]uintptr{from, to}; ok != (want[1] > 0) || ok && got != want {
			t.Errorf("%q: got %x, %v", line, got, ok)
		}
	}
}
