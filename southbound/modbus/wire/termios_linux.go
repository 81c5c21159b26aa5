//go:build linux && !ppc64le && !ppc64 && !ppc

package wire

import "golang.org/x/sys/unix"

// The requests that read and set a port with any rate, by termios2.
const (
	getTermios = unix.TCGETS2
	setTermios = unix.TCSETS2
)
