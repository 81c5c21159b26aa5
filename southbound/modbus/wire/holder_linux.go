package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Holders returns the other processes that have a serial port open, as "mbpoll
// (process 4711)", as far as this user may see them. It looks through all
// processes: for people, not for a running bus.
func Holders(device string) []string {
	port, err := os.Stat(device)
	if err != nil {
		return nil
	}
	var all []string
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		process := strings.Split(fd, "/")[2]
		if process == fmt.Sprint(os.Getpid()) {
			continue
		}
		// A terminal's number is that of its device; Stat follows the link of the
		// descriptor without opening it.
		file, err := os.Stat(fd)
		if err != nil || !os.SameFile(port, file) {
			continue
		}
		name, _ := os.ReadFile("/proc/" + process + "/comm")
		who := fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), process)
		if len(all) == 0 || all[len(all)-1] != who {
			all = append(all, who)
		}
	}
	return all
}
