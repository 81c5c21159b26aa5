package store

import (
	"encoding/binary"
	"errors"
	"io"
)

// pair is a key and its value in a leaf of a file that is not mapped.
type pair struct {
	key, value []byte
	at         int64 // of the value, in the file
	length     int   // of the value; more than there is if it leads out of the leaf
}

// wholeLeaf returns the leaf that begins with page, at offset, with its overflow
// of less than most pages; nil if it is none. The error is that of the disk, and
// what there is is returned with it.
func wholeLeaf(f io.ReaderAt, page []byte, offset int64, most uint32) ([]byte, error) {
	le := binary.LittleEndian
	if len(page) < pageHead || le.Uint64(page) != uint64(offset/pageSize) || le.Uint16(page[8:]) != flagLeaf {
		return nil, nil
	}
	overflow := le.Uint32(page[12:])
	if overflow == 0 || overflow > most {
		return page, nil
	}
	long := make([]byte, (int(overflow)+1)*pageSize)
	n, err := f.ReadAt(long, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return long[:max(n, len(page))], err
}

// leafPairs calls found with what is in a leaf that begins at a place in the
// file, and in the buckets in it that are too small for pages of their own: the
// first blocks of a segment are in one. It believes nothing that a leaf says of
// itself.
func leafPairs(leaf []byte, at int64, found func(pair)) {
	eachElement(leaf, at, func(flags uint32, x pair) {
		switch {
		case flags == 0:
			found(x)
		case flags == flagBucket && len(x.value) >= bucketSize && binary.LittleEndian.Uint64(x.value) == 0:
			// Buckets in buckets we have none.
			eachElement(x.value[bucketSize:], x.at+bucketSize, func(flags uint32, x pair) {
				if flags == 0 {
					found(x)
				}
			})
		}
	})
}

// eachElement calls found with each element of a leaf whose key is in it.
func eachElement(leaf []byte, at int64, found func(flags uint32, x pair)) {
	le := binary.LittleEndian
	if len(leaf) < pageHead || le.Uint16(leaf[8:]) != flagLeaf {
		return
	}
	for i := range uint64(le.Uint16(leaf[10:])) {
		start := pageHead + i*elementSize
		e := slice(leaf, start, elementSize)
		if e == nil {
			return
		}
		keyAt, ksize, vsize := start+uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		key := slice(leaf, keyAt, ksize)
		if key == nil {
			continue
		}
		from := keyAt + ksize
		to := min(from+vsize, uint64(len(leaf)))
		found(le.Uint32(e), pair{key, leaf[from:to:to], at + int64(from), int(vsize)})
	}
}

// piece is where a chunk of a block is in a file.
type piece struct {
	chunk  int
	offset int64
	length int
}
