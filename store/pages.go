package store

import (
	"bytes"
	"encoding/binary"
	"io"

	"fieldbridge/store/segment"
)

// The parts of bbolt's file format that are checked here (meta.go and
// internal/common/page.go of bbolt v1.5.0), little endian:
//
//	page     id 8, flags 2, count 2, overflow 4; then elements or freelist
//	branch   element: position of the key from itself 4, its length 4, page 8
//	leaf     element: flags 4, position of key and value 4, their lengths 4 and 4
//	bucket   a leaf's value with flag 1: root page 8, sequence 8; root 0: a page follows
//	freelist pages; when count is 0xffff the first is their number
const (
	pageHead    = 16
	elementSize = 16
	bucketSize  = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf's element

	mostDepth    = 16
	mostOverflow = 1 << 12 // pages of a value: no block and no dead letter comes near
)

// pageChecker follows the tree of a bbolt file that was not mapped yet. bbolt
// itself believes each number in a page: a wrong one may lead out of the map,
// which ends the process if it happens in one of bbolt's own goroutines, or in a
// circle for ever.
type pageChecker struct {
	f    io.ReaderAt
	high uint64 // pages in use
	seen []bool
}

// checkPages returns what is wrong with the structure of the file: each page in
// use is in the tree or free, once, all keys are in order, nothing leads out of
// its page. What the values say is not looked at. Both meta pages are right.
func checkPages(f io.ReaderAt) error {
	var metas [2 * pageSize]byte
	if _, err := f.ReadAt(metas[:], 0); err != nil {
		return damagedUnlessPassing(err)
	}
	le := binary.LittleEndian
	meta := metas[pageHead:]
	if other := metas[pageSize+pageHead:]; le.Uint64(other[48:]) > le.Uint64(meta[48:]) {
		meta = other
	}
	c := &pageChecker{f: f, high: le.Uint64(meta[40:])}
	c.seen = make([]bool, c.high)
	c.seen[0], c.seen[1] = true, true
	if err := c.freelist(le.Uint64(meta[32:])); err != nil {
		return err
	}
	if err := c.tree(le.Uint64(meta[16:]), nil, nil, mostDepth); err != nil {
		return err
	}
	for id, seen := range c.seen {
		if !seen {
			return segment.Damaged("page %d is lost", id)
		}
	}
	return nil
}

// take marks a page as accounted for.
func (c *pageChecker) take(id uint64) error {
	if id >= c.high || c.seen[id] {
		return segment.Damaged("page %d is not one, or used twice", id)
	}
	c.seen[id] = true
	return nil
}

// page reads a page with its overflow.
func (c *pageChecker) page(id uint64) (page []byte, flags, count int, err error) {
	le := binary.LittleEndian
	if err := c.take(id); err != nil {
		return nil, 0, 0, err
	}
	page = make([]byte, pageSize)
	if _, err := c.f.ReadAt(page, int64(id)*pageSize); err != nil {
		return nil, 0, 0, damagedUnlessPassing(err)
	}
	overflow := uint64(le.Uint32(page[12:]))
	if le.Uint64(page) != id || overflow > mostOverflow {
		return nil, 0, 0, segment.Damaged("page %d has the wrong head", id)
	}
	for i := range overflow {
		if err := c.take(id + 1 + i); err != nil {
			return nil, 0, 0, err
		}
	}
	if overflow > 0 {
		page = make([]byte, (1+overflow)*pageSize)
		if _, err := c.f.ReadAt(page, int64(id)*pageSize); err != nil {
			return nil, 0, 0, damagedUnlessPassing(err)
		}
	}
	return page, int(le.Uint16(page[8:])), int(le.Uint16(page[10:])), nil
}

func (c *pageChecker) freelist(id uint64) error {
	page, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	list, n := page[pageHead:], uint64(count)
	if n == 0xffff {
		n, list = binary.LittleEndian.Uint64(list), list[8:]
	}
	if flags != flagFreelist || n > uint64(len(list)/8) {
		return segment.Damaged("the freelist is none")
	}
	for i := range n {
		if err := c.take(binary.LittleEndian.Uint64(list[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the page and those below it, whose keys are from <= k < to; nil is
// no bound.
func (c *pageChecker) tree(id uint64, from, to []byte, depth int) error {
	page, flags, count, err := c.page(id)
	if err != nil {
		return err
	}
	if depth == 0 {
		return segment.Damaged("page %d is too deep", id)
	}
	switch flags {
	case flagLeaf:
		return c.leaf(page, count, from, to, depth)
	case flagBranch:
		return c.branch(page, count, from, to, depth)
	}
	return segment.Damaged("page %d is of kind %#x", id, flags)
}

// ordered checks that k comes after the key before it and within bounds.
func ordered(before, k, from, to []byte) error {
	if before != nil && bytes.Compare(before, k) >= 0 || from != nil && bytes.Compare(k, from) < 0 || to != nil && bytes.Compare(k, to) >= 0 {
		return segment.Damaged("key %x is out of order", k)
	}
	return nil
}

// slice returns length bytes of page from at on, or nil if they are not in it.
func slice(page []byte, at, length uint64) []byte {
	if at > uint64(len(page)) || length > uint64(len(page))-at {
		return nil
	}
	return page[at : at+length : at+length]
}

func (c *pageChecker) leaf(page []byte, count int, from, to []byte, depth int) error {
	le := binary.LittleEndian
	var before []byte
	for i := range count {
		at := uint64(pageHead + i*elementSize)
		e := slice(page, at, elementSize)
		if e == nil {
			return segment.Damaged("a leaf has %d elements", count)
		}
		start, ksize, vsize := at+uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		kv := slice(page, start, ksize+vsize)
		if kv == nil || ksize == 0 {
			return segment.Damaged("an element of a leaf leads out of it")
		}
		k, v := kv[:ksize], kv[ksize:]
		if err := ordered(before, k, from, to); err != nil {
			return err
		}
		before = k
		if flags := le.Uint32(e); flags == flagBucket {
			if err := c.bucket(v, depth); err != nil {
				return err
			}
		} else if flags != 0 {
			return segment.Damaged("an element of a leaf is of kind %#x", flags)
		}
	}
	return nil
}

func (c *pageChecker) bucket(v []byte, depth int) error {
	if len(v) < bucketSize {
		return segment.Damaged("a bucket has %d bytes", len(v))
	}
	if root := binary.LittleEndian.Uint64(v); root != 0 {
		return c.tree(root, nil, nil, depth-1)
	}
	inline := v[bucketSize:]
	if len(inline) < pageHead || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return segment.Damaged("a small bucket is none")
	}
	return c.leaf(inline, int(binary.LittleEndian.Uint16(inline[10:])), nil, nil, depth-1)
}

func (c *pageChecker) branch(page []byte, count int, from, to []byte, depth int) error {
	le := binary.LittleEndian
	keys, children := make([][]byte, count), make([]uint64, count)
	var before []byte
	for i := range count {
		at := uint64(pageHead + i*elementSize)
		e := slice(page, at, elementSize)
		if e == nil {
			return segment.Damaged("a branch has %d elements", count)
		}
		k := slice(page, at+uint64(le.Uint32(e)), uint64(le.Uint32(e[4:])))
		if len(k) == 0 {
			return segment.Damaged("an element of a branch leads out of it")
		}
		if err := ordered(before, k, from, to); err != nil {
			return err
		}
		before, keys[i], children[i] = k, k, le.Uint64(e[8:])
	}
	if count == 0 {
		return segment.Damaged("a branch is empty")
	}
	for i := range count {
		end := to
		if i+1 < count {
			end = keys[i+1]
		}
		if err := c.tree(children[i], keys[i], end, depth-1); err != nil {
			return err
		}
	}
	return nil
}
