//go:build small

package broker

// exact is false in the small program: faults and strangers have the words of their kind.
const exact = false
