package journal

import (
	"os"

	"fieldbridge/store/disk"
)

// EndsWithContainer returns the journal's folder if it may end with the container in
// which this process runs, "" otherwise: a tmpfs that a container has of its own is
// emptied when the container is started again. That the whole of another's was mounted
// there from outside cannot be told.
func EndsWithContainer(setting string) string {
	dir, err := Folder(setting)
	if err != nil || dir == "" || !inContainer() {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !ownMount(string(mounts), dir) {
		return ""
	}
	return dir
}

// inContainer reports whether this is one whose first process is the gateway, or which
// says so. One with a systemd of its own is as a machine: a gateway that is killed is
// started again within it.
func inContainer() bool {
	if exists("/run/systemd/system") {
		return false
	}
	if os.Getpid() == 1 || os.Getenv("container") != "" || exists("/.dockerenv") || exists("/run/.containerenv") {
		return true
	}
	first, err := os.Readlink("/proc/1/exe")
	self, err2 := os.Executable()
	return err == nil && err2 == nil && first == self
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ownMount reports whether what is mounted at dir, by /proc/self/mountinfo, is a whole
// file system: a folder of another one is from outside.
func ownMount(mounts, dir string) bool { return disk.FindMount(mounts, dir).Root == "/" }
