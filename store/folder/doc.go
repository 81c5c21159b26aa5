// Package folder knows what lies in the folder of a queue: segments on a shelf,
// the records meta and acks, dead letters, those of older releases too, and what
// was set aside. A [Reader] looks at the folder of a gateway that does not run.
//
// Nothing in it has a lock: what a gateway that runs knows of its folder is guarded
// by the lock of its queue, or is its keeper's alone, as the fields say.
package folder
