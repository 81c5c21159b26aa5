//go:build !small

package payload

// exact says that faults and strangers are told as exactly as can be.
const exact = true
