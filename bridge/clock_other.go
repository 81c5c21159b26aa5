//go:build !linux

package bridge

// kernelSynced trusts the clock where the kernel cannot be asked; gateways run
// Linux, this is for a developer's machine.
func kernelSynced() bool { return true }
