// Package disk has what is to be known of files so that they survive a power
// cut: files that are replaced whole, syncs, sizes, the lock of a folder, zeros
// ahead of the end, and what to do about a disk that refuses.
package disk
