package segment

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// What bbolt's files look like (meta.go and internal/common/page.go of bbolt
// v1.5.0), little endian. A page begins with a head, then its elements follow, or
// the meta data, or the list of free pages. When a list has 0xffff pages or more,
// its count is 0xffff and their number stands before them.
const (
	pageID       = 0 // 8 bytes
	pageFlags    = 8
	pageCount    = 10 // 2 bytes: of the elements
	pageOverflow = 12 // 4 bytes: pages that belong to it and follow
	pageHead     = 16

	metaMagic    = pageHead
	metaVersion  = pageHead + 4
	metaPageSize = pageHead + 8
	metaRoot     = pageHead + 16 // the page of the bucket of all buckets
	metaFreelist = pageHead + 32
	metaHigh     = pageHead + 40 // pages in use
	metaTxID     = pageHead + 48
	metaChecksum = pageHead + 56 // FNV-1a of what is before it

	elementSize = 16
	// A leaf's element; its key stands keyAt bytes behind its own begin, and its
	// value behind the key.
	leafFlags     = 0
	leafKeyAt     = 4
	leafKeySize   = 8
	leafValueSize = 12
	// A branch's element.
	branchKeyAt   = 0
	branchKeySize = 4
	branchPage    = 8

	// A bucket is the value of a leaf's element: its root page, 0 if the page
	// stands in the value itself.
	bucketRoot = 0
	bucketHead = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf's element

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	mostDepth    = 16
	mostOverflow = 1 << 12 // pages of a value: no block and no dead letter comes near
)

func u16(b []byte, at int) int    { return int(binary.LittleEndian.Uint16(b[at:])) }
func u32(b []byte, at int) uint64 { return uint64(binary.LittleEndian.Uint32(b[at:])) }
func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// meta is what a meta page says.
type meta struct{ root, freelist, high, tx uint64 }

// readMetas verifies both meta pages of a file of size bytes, and returns the
// newer one and how much of the file is in use. bbolt itself is content with one,
// and silently takes the state before the last commit.
// That state lacks the newest blocks, so one bad page is damage here.
func readMetas(f io.ReaderAt, size int64) (newest meta, used int64, err error) {
	if size < 2*PageSize {
		return newest, 0, Damaged("it has only %d bytes", size)
	}
	var b [PageSize]byte
	for i := range 2 {
		if _, err := f.ReadAt(b[:], int64(i)*PageSize); err != nil {
			return newest, 0, damagedUnlessPassing(err)
		}
		sum := fnv.New64a()
		sum.Write(b[pageHead:metaChecksum])
		switch {
		case u32(b[:], metaMagic) != boltMagic || u32(b[:], metaVersion) != boltVersion:
			return newest, 0, Damaged("meta page %d does not begin as one", i)
		case u64(b[:], metaChecksum) != sum.Sum64():
			return newest, 0, Damaged("the checksum of meta page %d is wrong", i)
		case u32(b[:], metaPageSize) != PageSize:
			return newest, 0, Damaged("its pages have %d bytes", u32(b[:], metaPageSize))
		}
		m := meta{root: u64(b[:], metaRoot), freelist: u64(b[:], metaFreelist),
			high: u64(b[:], metaHigh), tx: u64(b[:], metaTxID)}
		if m.high > 1<<32 || m.root >= m.high || m.freelist >= m.high {
			return newest, 0, Damaged("meta page %d makes no sense", i)
		}
		used = max(used, int64(m.high)*PageSize)
		if i == 0 || m.tx > newest.tx {
			newest = m
		}
	}
	if size < used {
		return newest, 0, Damaged("it is cut off: %d bytes instead of %d", size, used)
	}
	return newest, used, nil
}

// checker follows the tree of a file that was not mapped yet.
// Its memory is a byte for each page and the pages on the way down.
type checker struct {
	f    io.ReaderAt
	seen []bool // by page
	pair func(key, value []byte) error
}

// checkPages returns what is wrong with the structure of a file whose meta pages
// are right: each page in use is in the tree or free, once, all keys are in order,
// nothing leads out of its page. What the values say is not looked at.
func checkPages(f io.ReaderAt, m meta) error {
	c := &checker{f: f, seen: make([]bool, m.high)}
	c.seen[0], c.seen[1] = true, true
	if err := c.freelist(m.freelist); err != nil {
		return err
	}
	if err := c.tree(m.root, nil, nil, mostDepth); err != nil {
		return err
	}
	// A lost page harms nobody, but no commit of bbolt's leaves one: the file is not as
	// it was written.
	for id, seen := range c.seen {
		if !seen {
			return Damaged("page %d is lost", id)
		}
	}
	return nil
}

// take notes that a page is in use.
func (c *checker) take(id uint64) error {
	if id >= uint64(len(c.seen)) || c.seen[id] {
		return Damaged("page %d is used twice, or beyond the end", id)
	}
	c.seen[id] = true
	return nil
}

// page reads a page with those that belong to it, for the first time.
// A page that is met twice is a circle or a branch that is shared, so the walk ends: it
// reads no more than the file has.
func (c *checker) page(id uint64) (page []byte, err error) {
	if err := c.take(id); err != nil {
		return nil, err
	}
	page = make([]byte, PageSize)
	if _, err := c.f.ReadAt(page, int64(id)*PageSize); err != nil {
		return nil, damagedUnlessPassing(err)
	}
	overflow := u32(page, pageOverflow)
	if u64(page, pageID) != id || overflow > mostOverflow {
		return nil, Damaged("page %d has the wrong head", id)
	}
	for i := range overflow {
		if err := c.take(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if overflow > 0 {
		page = make([]byte, (1+overflow)*PageSize)
		if _, err := c.f.ReadAt(page, int64(id)*PageSize); err != nil {
			return nil, damagedUnlessPassing(err)
		}
	}
	return page, nil
}

// A page both free and in use is what bbolt would write over.
func (c *checker) freelist(id uint64) error {
	page, err := c.page(id)
	if err != nil {
		return err
	}
	list, n := page[pageHead:], uint64(u16(page, pageCount))
	if n == 0xffff {
		n, list = u64(list, 0), list[8:]
	}
	if u16(page, pageFlags) != flagFreelist || n > uint64(len(list)/8) {
		return Damaged("page %d should be the list of free pages", id)
	}
	for i := range int(n) {
		if err := c.take(u64(list, 8*i)); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the page and those below it, whose keys are from <= k < to; nil
// sets no bound.
func (c *checker) tree(id uint64, from, to []byte, depth int) error {
	page, err := c.page(id)
	if err != nil {
		return err
	}
	if depth == 0 {
		return Damaged("page %d is too deep", id)
	}
	keys := keyOrder{from: from, to: to}
	switch u16(page, pageFlags) {
	case flagLeaf:
		return c.leaf(page, keys, depth)
	case flagBranch:
		return c.branch(page, keys, depth)
	}
	return Damaged("page %d is of kind %#x", id, u16(page, pageFlags))
}

// keyOrder checks that keys come one after the other, from <= k < to.
type keyOrder struct{ before, from, to []byte }

func (o *keyOrder) next(k []byte) error {
	if o.before != nil && string(o.before) >= string(k) || o.from != nil && string(k) < string(o.from) ||
		o.to != nil && string(k) >= string(o.to) {
		return Damaged("key %x is out of order", k)
	}
	o.before = k
	return nil
}

func (c *checker) leaf(page []byte, keys keyOrder, depth int) error {
	for i := range u16(page, pageCount) {
		e, ok := leafElement(page, i)
		if !ok {
			return Damaged("a leaf has %d elements", u16(page, pageCount))
		}
		if len(e.key) == 0 || e.length > len(e.value) {
			return Damaged("an element of a leaf leads out of it")
		}
		if err := keys.next(e.key); err != nil {
			return err
		}
		var err error
		switch {
		case e.flags == flagBucket:
			err = c.bucket(e.value, depth)
		case e.flags != 0:
			err = Damaged("an element of a leaf is of kind %#x", e.flags)
		case c.pair != nil:
			err = c.pair(e.key, e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// depth also bounds buckets within buckets, which our files do not have.
func (c *checker) bucket(v []byte, depth int) error {
	if len(v) < bucketHead {
		return Damaged("a bucket has %d bytes", len(v))
	}
	if root := u64(v, bucketRoot); root != 0 {
		return c.tree(root, nil, nil, depth-1)
	}
	inline := v[bucketHead:]
	if len(inline) < pageHead || u16(inline, pageFlags) != flagLeaf || depth == 0 {
		return Damaged("a small bucket has no leaf")
	}
	return c.leaf(inline, keyOrder{}, depth-1)
}

func (c *checker) branch(page []byte, order keyOrder, depth int) error {
	count := u16(page, pageCount)
	if count == 0 {
		return Damaged("a branch is empty")
	}
	to := order.to
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := uint64(pageHead + i*elementSize)
		e := slice(page, at, elementSize)
		if e == nil {
			return Damaged("a branch has %d elements", count)
		}
		k := slice(page, at+u32(e, branchKeyAt), u32(e, branchKeySize))
		if len(k) == 0 {
			return Damaged("an element of a branch leads out of it")
		}
		if err := order.next(k); err != nil {
			return err
		}
		keys[i], children[i] = k, u64(e, branchPage)
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

// slice returns length bytes of page from at on, or nil if they are not in it.
// All that a page says of itself goes through here.
func slice(page []byte, at, length uint64) []byte {
	if at > uint64(len(page)) || length > uint64(len(page))-at {
		return nil
	}
	return page[at : at+length : at+length]
}

// element is a key and its value in a leaf.
type element struct {
	flags  uint64
	key    []byte // nil if it leads out of the leaf
	value  []byte // as much of it as is in the leaf
	at     int    // of the value, in the leaf
	length int    // of the value, as the leaf says
}

// leafElement returns the element i of a leaf; ok is false if it is not in it.
func leafElement(leaf []byte, i int) (e element, ok bool) {
	start := uint64(pageHead + i*elementSize)
	head := slice(leaf, start, elementSize)
	if head == nil {
		return e, false
	}
	keyAt, size := start+u32(head, leafKeyAt), u32(head, leafKeySize)
	e = element{flags: u32(head, leafFlags), key: slice(leaf, keyAt, size), length: int(u32(head, leafValueSize))}
	if e.key != nil {
		e.at = int(keyAt + size)
		to := min(e.at+e.length, len(leaf))
		e.value = leaf[e.at:to:to]
	}
	return e, true
}

// wholeLeaf returns the leaf that begins with page, at offset, with less than most
// pages that belong to it; nil if it is something else. The error is that of the
// disk, and what there is is returned with it.
func wholeLeaf(f io.ReaderAt, page []byte, offset int64, most uint64) ([]byte, error) {
	if len(page) < pageHead || u64(page, pageID) != uint64(offset/PageSize) || u16(page, pageFlags) != flagLeaf {
		return nil, nil
	}
	overflow := u32(page, pageOverflow)
	if overflow == 0 || overflow > most {
		return page, nil
	}
	long := make([]byte, (overflow+1)*PageSize)
	n, err := f.ReadAt(long, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return long[:max(n, len(page))], err
}

// eachPair calls found with what is in a leaf that begins at a place in the file,
// and in the buckets in it that are too small for pages of their own: the first
// blocks of a segment are in one. at is where the value is. It believes nothing
// that a leaf says of itself.
func eachPair(leaf []byte, at int64, found func(e element, at int64)) {
	if len(leaf) < pageHead || u16(leaf, pageFlags) != flagLeaf {
		return
	}
	for i := range u16(leaf, pageCount) {
		e, ok := leafElement(leaf, i)
		if !ok {
			return
		}
		switch {
		case e.key == nil:
		case e.flags == 0:
			found(e, at+int64(e.at))
		case e.flags == flagBucket && len(e.value) >= bucketHead && u64(e.value, bucketRoot) == 0:
			eachPair(e.value[bucketHead:], at+int64(e.at)+bucketHead, found)
		}
	}
}
