package journal

import "errors"

// What goes wrong with a journal.
var (
	// ErrNotMemory is of a folder on a disk: a journal there would wear what it
	// is there to spare.
	ErrNotMemory = errors.New("the folder is not on tmpfs")
	// ErrNoRoom is of a tmpfs that cannot hold the journal. Nothing was made.
	ErrNoRoom = errors.New("there is not enough room on the tmpfs")
	// ErrFull is of a record for which there is no room until others are released.
	ErrFull = errors.New("the journal is full")
	// ErrGone is of a file that was cut short while it was in use. The journal
	// must not be used any more.
	ErrGone = errors.New("the journal's file was taken away")
	// ErrInUse is of a journal that another process has open: a copy of the
	// queue's folder runs beside it.
	ErrInUse = errors.New("another process uses the journal, is this queue's folder a copy?")
	// ErrUnsupported is of systems that have no tmpfs.
	ErrUnsupported = errors.New("there is no shared-memory journal on this system")
)

// Left is what Open found.
type Left struct {
	// Aside says why what was there is not this queue's and this boot's; "" if it
	// is, or if there was nothing.
	Aside string
	// Path is where it was put then.
	Path string
	// Torn says that the process was killed while it wrote the last record, which
	// nobody had been told was kept.
	Torn bool
}
