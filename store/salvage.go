package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// piece is where a chunk of a block is in a file.
type piece struct {
	chunk  int
	offset int64
	length int
}

// salvager finds blocks in a file that bbolt cannot be trusted with. It does not
// map the file and follows no pointer: it looks at each page for a leaf with
// chunks, and puts those together whose checksum comes out right. bbolt's older
// copies of a page hold the same chunks, which only helps.
type salvager struct {
	f      *os.File
	pieces map[bridge.Position][]piece
	unread int // reads that the disk did not give
	buf    []byte
}

// found is a block that was found whole.
type found struct {
	header block.Header
	pieces []piece
}

// maxVersions bounds the versions of one chunk that are tried.
const maxVersions = 4

// salvage returns the whole blocks of the file at path whose batches are from
// first to below limit, in order and without overlap.
func salvage(path string, first, limit bridge.Position) (*salvager, []found, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	s := &salvager{f: f, pieces: make(map[bridge.Position][]piece)}
	var page [pageSize]byte
	for offset := int64(0); offset < info.Size(); offset += pageSize {
		n, err := f.ReadAt(page[:], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			s.unread++
			continue
		}
		if n >= 32 {
			s.scanPage(page[:n], offset)
		}
	}
	var blocks []found
	for p, pieces := range s.pieces {
		if p >= first && p < limit {
			if b, ok := s.assemble(p, pieces); ok {
				blocks = append(blocks, b)
			}
		}
	}
	slices.SortFunc(blocks, func(a, b found) int { return cmp.Compare(a.header.First, b.header.First) })
	kept := blocks[:0]
	for _, b := range blocks {
		if n := len(kept); b.header.Last < limit && (n == 0 || b.header.First > kept[n-1].header.Last) {
			kept = append(kept, b)
		}
	}
	return s, kept, nil
}

// scanPage notes the chunks of a leaf page.
func (s *salvager) scanPage(page []byte, offset int64) {
	if page = s.leaf(page, offset); page == nil {
		return
	}
	leafPairs(page, offset, func(x pair) {
		if len(x.key) != keySize || x.length > chunkSize || x.length > len(x.value) {
			return
		}
		p := bridge.Position(binary.BigEndian.Uint64(x.key))
		chunk := int(binary.BigEndian.Uint16(x.key[8:]))
		s.pieces[p] = append(s.pieces[p], piece{chunk, x.at, x.length})
	})
}

// leaf returns the leaf that begins with page, with its overflow, nil for
// anything else. The rightmost leaf may be longer than a page.
func (s *salvager) leaf(page []byte, offset int64) []byte {
	page, err := wholeLeaf(s.f, page, offset, 4)
	if err != nil {
		s.unread++
	}
	return page
}

// assemble puts the block at p together from the versions of its chunks.
func (s *salvager) assemble(p bridge.Position, pieces []piece) (b found, ok bool) {
	versions := make(map[int][]piece)
	for _, x := range slices.Backward(pieces) {
		if len(versions[x.chunk]) < maxVersions {
			versions[x.chunk] = append(versions[x.chunk], x)
		}
	}
	for _, first := range versions[0] {
		head := make([]byte, first.length)
		if s.readAt(head, first.offset) != nil {
			continue
		}
		h, err := block.ParseHeader(head)
		if err != nil || h.First != p {
			continue
		}
		b = found{header: h, pieces: []piece{first}}
		if s.complete(&b, versions, 1<<10) {
			return b, true
		}
	}
	return b, false
}

// complete tries the versions of the chunks after those in b, until the checksum
// is right or tries are used up.
func (s *salvager) complete(b *found, versions map[int][]piece, tries int) bool {
	length := 0
	for _, x := range b.pieces {
		length += x.length
	}
	if length == b.header.Length() {
		data, err := s.read(*b)
		if err != nil {
			return false
		}
		_, _, err = block.Open(data)
		return err == nil
	}
	n := len(b.pieces)
	next := versions[n]
	if length > b.header.Length() {
		return false
	}
	for _, x := range next {
		if tries /= len(next); tries < 1 && len(next) > 1 {
			break
		}
		b.pieces = append(b.pieces[:n], x)
		if s.complete(b, versions, tries) {
			return true
		}
	}
	b.pieces = b.pieces[:n]
	return false
}

// readAt reads all of b. What the disk does not give is counted.
func (s *salvager) readAt(b []byte, offset int64) error {
	_, err := s.f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		s.unread++
	}
	return err
}

// read returns a block; it is valid until the next call.
func (s *salvager) read(b found) ([]byte, error) {
	s.buf = s.buf[:0]
	for _, x := range b.pieces {
		n := len(s.buf)
		s.buf = append(s.buf, make([]byte, x.length)...)
		if err := s.readAt(s.buf[n:], x.offset); err != nil {
			return nil, err
		}
	}
	return s.buf, nil
}

// rebuild writes blocks into a new segment file at path. Their cumulative counts
// are put right, so that the file is whole in itself. It returns the new file's
// account.
func (s *salvager) rebuild(path string, size int64, blocks []found) (segment, error) {
	var account segment
	db, err := createSegment(path, size)
	if err != nil {
		return account, err
	}
	total := blocks[0].header.Before
	for len(blocks) > 0 && err == nil {
		n := min(len(blocks), 64)
		err = guard(func() error {
			return db.Update(func(tx *bolt.Tx) error {
				for _, b := range blocks[:n] {
					block, err := s.read(b)
					if err != nil {
						return err
					}
					h := b.header
					h.Before = total
					block = slices.Clone(block) // bbolt keeps it until the commit
					h.Put(block)
					if err := appendBlock(tx, h.First, block); err != nil {
						return err
					}
					account.take(&h)
					total = account.total
				}
				return nil
			})
		})
		blocks = blocks[n:]
	}
	if e := closeDB(db); err == nil {
		err = e
	}
	return account, err
}
