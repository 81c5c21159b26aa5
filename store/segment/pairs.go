package segment

import (
	"errors"
	"io"
	"os"
)

// mostShared bounds a leaf with long values: up to four share one.
const mostShared = 1 << 10

// Pairs calls visit with the keys and values of any bbolt file, without bbolt, in
// the order of the keys. In a file that is damaged it takes every leaf for what it
// says, of which some may be older copies: damage then says what is wrong, and it
// is for visit to judge what is whole. err is that of visit, or of a disk that may
// yet come to its senses.
func Pairs(path string, visit func(key, value []byte) error) (damage, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return Damaged("it is not a file but %v", info.Mode().Type()), nil
	}
	f, _, err := openPlain(path, false)
	if err != nil {
		if err = damagedUnlessPassing(err); IsDamage(err) {
			return err, nil
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	newest, _, err := readMetas(f, info.Size())
	if err == nil {
		err = checkPages(f, newest)
	}
	switch {
	case IsDamage(err):
		return err, scanPairs(f, info.Size(), visit)
	case err != nil:
		return nil, err
	}
	c := &checker{f: f, seen: make([]bool, newest.high), pair: visit}
	return nil, c.tree(newest.root, nil, nil, mostDepth)
}

// scanPairs visits every leaf of a file, also those that are free. What the disk
// does not give is left out.
// A long value of which the disk gives a part is left out as a whole.
func scanPairs(f io.ReaderAt, size int64, visit func(key, value []byte) error) (err error) {
	var page [PageSize]byte
	for offset := int64(0); offset < size && err == nil; offset += PageSize {
		n, e := f.ReadAt(page[:], offset)
		if e != nil && !errors.Is(e, io.EOF) {
			continue
		}
		leaf, _ := wholeLeaf(f, page[:n], offset, mostShared)
		eachPair(leaf, offset, func(e element, _ int64) {
			if err == nil && e.length == len(e.value) {
				err = visit(e.key, e.value)
			}
		})
	}
	return err
}
