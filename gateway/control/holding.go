package control

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fieldbridge/southbound/modbus/wire"
)

// holdingTimeout is how long a gateway may take to say what it holds.
const holdingTimeout = 2 * time.Second

// Holding finds the gateway on this machine that holds the bus at url, among those
// that this user may ask: the directory of its queue, and what it calls the bus. Both
// are "" if there is none.
func Holding(ctx context.Context, url string) (dir, bus string) {
	wanted, err := wire.ParseURL(url)
	if err != nil {
		return "", ""
	}
	for _, dir := range queues() {
		var s Status
		asked, cancel := context.WithTimeout(ctx, holdingTimeout)
		data, err := Get(asked, dir, "/status")
		cancel()
		if err != nil || json.Unmarshal(data, &s) != nil {
			continue
		}
		for _, b := range s.Buses {
			if held, err := wire.ParseURL(b.Address); err == nil && same(held, wanted) {
				return dir, b.Address
			}
		}
	}
	return "", ""
}

// same reports whether two addresses are of one bus: a serial port has many names.
func same(a, b wire.Address) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	if a.Host == b.Host || !a.Serial() {
		return a.Host == b.Host
	}
	one, err1 := os.Stat(a.Host)
	other, err2 := os.Stat(b.Host)
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// queues returns the directories in which control sockets of this machine are, as the
// kernel lists them (proc_net_unix(5)): those of gateways that run. Who was started
// with a relative path has a relative one there, from its working directory.
func queues() (dirs []string) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil // not Linux
	}
	defer func() { _ = f.Close() }()
	var roots []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.SplitN(strings.TrimSpace(lines.Text()), " ", 8)
		path := strings.TrimSpace(fields[len(fields)-1])
		if filepath.Base(path) != Socket {
			continue
		}
		if filepath.IsAbs(path) {
			dirs = append(dirs, filepath.Dir(path))
			continue
		}
		if roots == nil {
			roots = workingDirs()
		}
		for _, root := range roots {
			dir := filepath.Join(root, filepath.Dir(path))
			if is, err := os.Stat(filepath.Join(dir, Socket)); err == nil && is.Mode()&os.ModeSocket != 0 {
				dirs = append(dirs, dir)
			}
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// workingDirs returns where processes work, as far as this user may see it.
func workingDirs() (dirs []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		if dir, err := os.Readlink(link); err == nil {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
