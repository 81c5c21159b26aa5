package disk

import "fmt"

// Place is what kind of file system a folder lies on, as far as a queue is concerned.
// The zero Place is a disk of this machine that can be written, or one that is not known
// to be anything else.
type Place struct {
	Kind PlaceKind
	Type string // of the file system, in the words of mount(8): "tmpfs", "nfs"
}

// PlaceKind is why a queue should not lie somewhere.
type PlaceKind int

// The kinds, the worst last.
const (
	OnDisk    PlaceKind = iota
	Unsynced            // what is said to be on disk may not be, after a power cut
	Elsewhere           // another machine's disk, behind a network
	InLayer             // a container's own layer, gone with the container
	InMemory            // gone at a restart of the machine
	ReadOnly            // nothing can be written
	OfKernel            // its files are the kernel's own
)

// Closed reports whether no queue can be made there.
func (p Place) Closed() bool { return p.Kind >= ReadOnly }

// Tell says what is wrong with a queue in dir, which lies there, and what to do; "" if
// nothing is.
func (p Place) Tell(dir string) (text, fix string) {
	switch p.Kind {
	case Unsynced:
		return fmt.Sprintf("the queue's folder %s lies on %s, which may lose files at a power cut that it said were on "+
			"disk", dir, p.Type), "put store.dir on a file system of Linux (ext4, xfs, btrfs, f2fs)"
	case Elsewhere:
		return fmt.Sprintf("the queue's folder %s lies on another machine (%s): while the network to it is away nothing "+
				"is written, and beyond what the memory holds readings are dropped", dir, p.Type),
			"put store.dir on a disk of this machine"
	case InLayer:
		return fmt.Sprintf("the queue's folder %s lies in a layer over another file system (%s), as a container's own: "+
				"what waits in it is gone when the layer is made anew", dir, p.Type),
			"mount a volume there (docker run -v fieldbridge:" + dir + "), or put store.dir on a disk"
	case InMemory:
		return fmt.Sprintf("the queue's folder %s lies in memory (%s): a power cut or a restart of the machine takes "+
			"all that waits in it", dir, p.Type), "put store.dir on a disk"
	case ReadOnly:
		return fmt.Sprintf("the queue's folder %s lies on a file system that is read-only (%s): nothing can be "+
				"written there", dir, p.Type),
			"name a folder elsewhere with store.dir if it is meant to be; else look for the errors of the disk (dmesg), " +
				"repair and remount it"
	case OfKernel:
		return fmt.Sprintf("the queue's folder cannot be %s: it would lie on %s, whose files are the kernel's own", dir,
			p.Type), "name a folder on a disk with store.dir"
	}
	return "", ""
}
