//go:build linux && (ppc64le || ppc64 || ppc)

package wire

import "golang.org/x/sys/unix"

// PowerPC's termios has the rates, and no second kind.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
