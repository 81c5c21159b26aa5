// Package sparkplug reads Sparkplug B (version 3.0.0 of its specification): what
// edge nodes say in their births, which values their messages have, and when a
// message is missing. It sends nothing: it says when a node is to be asked for
// its birth. Payloads are read with protobuf's wire format alone.
package sparkplug
