package rules

// Unit is the step in which AWS meters messages: 5 KB of payload, topic and
// properties.
const Unit = 5120

// Units returns what a message of size is billed as.
func Units(size int) uint64 { return uint64(max(1, (size+Unit-1)/Unit)) }
