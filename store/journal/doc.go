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
// the journal. Nothing but the tail is ever changed in place.
package journal
