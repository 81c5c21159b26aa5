// Package books is the account of a queue: what came in, what waits, where the
// rest went and what is to be told of it. It counts batches and readings, knows by
// position which batches are done, which run numbered them, and leaves a tombstone
// for what is lost. It knows the records in which that survives a restart as bytes;
// who keeps them writes them.
//
// The package is pure: no files, no clock, and no lock of its own. All of it is
// changed under the one lock of its owner, so that the ledger adds up at every
// instant.
package books
