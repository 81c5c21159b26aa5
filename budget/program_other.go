//go:build !linux

package budget

// ReleaseProgram gives back what the process has mapped of the program's own file, where
// the system lets it.
func ReleaseProgram() {}
