package folder

import (
	"fmt"
	"path/filepath"
	"time"

	"fieldbridge/store/disk"
)

// SetAside moves or links a damaged file to the quarantine of the folder dir, where it
// gets that name and the time, and returns where it is now.
func SetAside(dir, path, name string, move func(from, to string) error) (to string, err error) {
	quarantine := filepath.Join(dir, QuarantineDir)
	to = filepath.Join(quarantine, fmt.Sprintf("%s-%d", name, time.Now().UnixMilli()))
	if err := disk.MakeDir(quarantine); err != nil {
		return "", err
	}
	if err := move(path, to); err != nil {
		return "", err
	}
	// If the names are not on disk yet, a power cut brings the file back, and it is set aside again.
	_ = disk.SyncDir(quarantine)
	_ = disk.SyncDir(filepath.Dir(path))
	return to, nil
}
