// Package segment keeps blocks in a file: one bbolt file with one bucket, that is
// written once, in order, and never changed behind its end.
//
// [Create] makes a file and [Open] opens one; [File.Append] adds blocks in one
// transaction, [File.Find] and [File.Walk] read them back, [File.Survey] and
// [File.Check] read all of them and compare. [Salvage] finds what is whole in a
// file that bbolt cannot be trusted with, and [Salvaged.Rebuild] writes it into a
// new one. The format is described in store/format.md.
//
// This is the one package that knows bbolt. bbolt believes what a page says: a
// wrong length ends the process if one of bbolt's own goroutines meets it, a
// wrong page number may lead in a circle for ever. So a file is looked at with
// plain reads before bbolt maps it (pages.go), and everything that touches a
// mapped file turns panics and memory faults into errors. An error for which
// [IsDamage] holds means that the file is not to be trusted; any other may pass.
//
// A File is used by one goroutine at a time, but for Find and Walk, which may
// run beside an Append.
package segment
