package setting

import (
	"io/fs"
	"syscall"
	"time"
)

// changed returns when a file changed in any way, which nobody can set.
func changed(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}
