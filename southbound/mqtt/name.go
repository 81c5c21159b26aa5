package mqtt

import "fieldbridge/bridge"

// usable reports whether a captured text may become part of a name: 1 to 64
// printable bytes.
func usable(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// deviceName makes a device name of what a topic says: what cannot be in a name
// becomes '_', and it is cut after 64 bytes.
func deviceName(s string) string {
	if bridge.ValidDevice(s) {
		return s
	}
	b := []byte(s[:min(len(s), 64)])
	for i, c := range b {
		if !bridge.ValidDevice(string(rune(c))) {
			b[i] = '_'
		}
	}
	return string(b)
}
