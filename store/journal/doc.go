// Package journal is memory that outlives the process: a file on tmpfs, mapped.
//
// What the queue has in memory and not on disk also lies here, so that a kill, a
// panic or the OOM killer take nothing. Writing is a copy within memory: no
// system call, no sync, no flash. A reboot or a power cut empties it.
//
// # The file
//
// A page of header, then a ring of records. All numbers are little-endian.
//
//	0    magic "FBJRNL1\n"
//	8    size of the ring in bytes, uint64
//	16   id of the queue, 16 bytes: it stands in the queue's folder, too
//	32   id of the boot, 16 bytes
//	48   CRC-32C of the bytes before
//	64   tail, uint64: where the first record begins that is still needed
//	72   base, uint64: every batch of the run below this position is done or on disk
//	80   id of the run whose batches follow, 8 bytes; zeros before the first
//
// Places in the ring are counted from the file's beginning on and never start
// anew: place p is at byte p modulo the ring's size. A record begins at a
// multiple of 8:
//
//	0    CRC-32C of its place (uint64), its length and its body
//	4    length of the body, uint32; 0xffffffff skips to the ring's beginning
//	8    body
//
// The place is under the checksum, so that what an earlier lap left is never
// taken for a record. The checksum is written last, and cleared first: a process
// that is killed leaves whole records and at most one that is torn, which ends
// the journal. Nothing but tail, base and run is ever changed in place, each in one
// step: the base before the tail, since it also says of what is left behind the
// tail that it is done, and the run only while there are no records.
//
// A [Log] is what the queue has of it: it finds the place, reads what a process
// that was killed has left, and notes batches and what is done. It is used under
// the queue's lock; none of its methods waits for anything.
package journal
