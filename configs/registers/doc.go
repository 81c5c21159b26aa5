// Package registers reads lists of registers as makers and other programs write
// them, as CSV, and makes the points of a profile of them.
//
// What a column holds is guessed from its header, and what an address counts from
// the addresses; both are told, so that a person can say that it is otherwise. A
// line that is not understood is left out and told, never guessed at.
//
// It needs neither files nor a clock: what it returns hangs on what it is given.
package registers
