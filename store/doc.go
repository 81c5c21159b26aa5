// Package store is the durable queue of a gateway.
//
//	Append ──▶ memory ─────────────── Next ──▶ forwarder
//	             │ commit_every,               ▲
//	             │ a waiting sensor            │ Next reads blocks back
//	             ▼                             │
//	   seg-…0001.db  seg-…0a31.db  seg-…1407.db ◀── the keeper appends to the newest
//	   (done: removed whole)
//	   acks: what is done · meta: runs, tombstones, sealed segments · dead/ · quarantine/
//	   origins: who measured what
//
// A batch is in memory until the cloud acknowledges it or it is due on disk;
// what is acknowledged in time is never written. What is due is written as one
// compressed block in one bbolt transaction, and leaves memory: a long outage
// costs disk, not memory. Nothing inside a segment file is ever deleted; what is
// done is recorded in a file of its own, and a segment is removed when all of it
// is done. So disk space always comes back, a start does not depend on the
// backlog, and damage is confined to one segment, from which every block with a
// right checksum is saved. What is in memory also lies in a journal in shared
// memory, for a crash of the process. The format is described in format.md.
//
// What the package guarantees: the ledger of [Queue.Ledger] adds up at every
// instant; (gateway, run, seq) means the same readings for ever; a batch
// reported safe survives a kill and a power cut; every loss is counted and named
// in a tombstone; [Open] starts whatever it finds. What it refuses: a folder
// that another process owns, and one that a newer version wrote.
//
// [Open] starts one goroutine, the keeper, which does all writing; [Queue.Close]
// ends it and waits for it. Append, Ack, Release and Bury never wait for a disk.
// Next may wait for a block to be read. [OpenStopped] looks at the folder of a
// gateway that does not run, and changes nothing.
//
// The queue is the port: queue.go for the gateway, look.go for people. The keeper is asked
// to do what it alone may. docs/architecture.md has the rooms and the locks.
package store
