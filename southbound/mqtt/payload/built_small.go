//go:build small

package payload

// Exact is false in the small program: faults and strangers have the words of their kind.
const Exact = false
