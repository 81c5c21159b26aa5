package bridge

import "syscall"

// kernelSynced asks the kernel's clock discipline. TIME_ERROR or STA_UNSYNC
// (adjtimex(2)) mean that no time daemon vouches for the clock.
func kernelSynced() bool {
	const (
		timeError = 5
		staUnsync = 0x40
	)
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return err == nil && state != timeError && t.Status&staUnsync == 0
}
