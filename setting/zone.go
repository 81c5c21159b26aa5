package setting

import (
	"fmt"
	"time"
)

// Zone returns the time zone of a name, as Europe/Berlin.
func Zone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	switch {
	case err == nil:
		return zone, nil
	case zonesBuilt:
		return nil, fmt.Errorf("%q is not a time zone", name)
	}
	return nil, fmt.Errorf("%q is not a time zone, or this machine lacks its file: install tzdata (OpenWrt: zoneinfo-all)",
		name)
}
