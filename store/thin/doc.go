// Package thin makes aggregates of readings: of many readings of a point one for each
// span of time, which says how many there were (n), when the first and the last was, and
// what they were like. It is what a queue does with its oldest readings before it drops
// any.
//
// Batches are shown twice, in their order: [Thinner.Look] finds out what is worth it,
// [Thinner.Take] returns what is left of each. An aggregate is readings of points whose
// names tell what they are ("load_n", "load_from", "load_to", "load_mean"), so that it
// goes through files and messages as any other reading. It comes with the first batch of
// the next span that has the point, or with the last one that has it.
//
// The package is pure: no files, no clock, no lock.
package thin
