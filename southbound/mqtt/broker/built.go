//go:build !small

package broker

// exact says that faults and strangers are told as exactly as can be.
const exact = true
