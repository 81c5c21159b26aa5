// Package point knows what registers mean: where a point is, how its value is
// read from the bytes of an answer, and which bytes set it. It is pure: bytes and
// a [Field] in, a value or an error out. Registers and their limits are those of
// the Modbus Application Protocol V1.1b3.
package point
