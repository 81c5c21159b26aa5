//go:build !small

package payload

// Exact says that faults and strangers are told as exactly as can be, and that what few
// need can be said.
const Exact = true
