package inlet

import (
	"fmt"
	"strings"

	"fieldbridge/setting"
)

// ReadPassword returns the first line of a file. It waits for the disk.
func ReadPassword(path setting.Path) ([]byte, error) {
	b, err := path.Read()
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return nil, fmt.Errorf("read password: the first line of %s is empty", path)
	}
	return []byte(line), nil
}
