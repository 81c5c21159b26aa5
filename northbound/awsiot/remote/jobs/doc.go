// Package jobs is a gateway's side of AWS IoT Jobs: it takes what the cloud wants
// done, one job at a time, has an [Operation] do it, and tells what became of it.
//
//	notify-next ─▶ start-next ─▶ opened ─▶ on disk ─▶ Operation.Do ─▶ on disk ─▶ told ─▶ paid
//	                              └─ REJECTED          (again after a restart)
//
// A job's id and each step that matters are on disk before anything is done, so a
// restart goes on where the process before was cut; what became of it is on disk
// before it is told, and is told until the cloud has taken it. A report that cannot
// be sent changes nothing of what was done.
//
// Two goroutines share a [Worker]: that of Run acts, that of Serve speaks to the
// cloud while there is a connection. The mutex guards the record of the job and is
// never held over the disk, the network or an operation.
package jobs
