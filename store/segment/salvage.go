package segment

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/store/block"
)

// Salvaged is what is whole in a file that bbolt cannot be trusted with. It is
// found without mapping the file and without following a pointer: each page is
// looked at for a leaf with chunks, and those are put together whose checksum
// comes out right. bbolt's older copies of a page hold the same chunks, which only
// helps.
type Salvaged struct {
	Blocks []Found // in order, without overlap
	Unread int     // reads that the disk did not give

	f      *os.File
	pieces map[bridge.Position][]piece
	buf    []byte
}

// Found is a block that was found whole.
type Found struct {
	block.Header
	pieces []piece
}

// piece is where a chunk of a block is in a file.
type piece struct {
	chunk  int
	offset int64
	length int
}

const (
	// maxVersions bounds the versions of one chunk that are tried.
	maxVersions = 4
	// mostChunks bounds the pages of a leaf with chunks: the rightmost may be
	// longer than one.
	mostChunks = 4
)

// Salvage finds the whole blocks of the file at path whose batches are from first
// to below limit. The caller closes what it gets, if there is no error.
func Salvage(path string, first, limit bridge.Position) (*Salvaged, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Salvaged{f: f, pieces: make(map[bridge.Position][]piece)}
	var page [PageSize]byte
	for offset := int64(0); offset < info.Size(); offset += PageSize {
		n, err := f.ReadAt(page[:], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			s.Unread++
			continue
		}
		s.scanPage(page[:n], offset)
	}
	var blocks []Found
	for p, pieces := range s.pieces {
		if p >= first && p < limit {
			if b, ok := s.assemble(p, pieces); ok {
				blocks = append(blocks, b)
			}
		}
	}
	order.By(blocks, func(a, b Found) int { return cmp.Compare(a.First, b.First) })
	for _, b := range blocks {
		if n := len(s.Blocks); b.Last < limit && (n == 0 || b.First > s.Blocks[n-1].Last) {
			s.Blocks = append(s.Blocks, b)
		}
	}
	return s, nil
}

// Close closes the file. A nil Salvaged has none.
func (s *Salvaged) Close() error {
	if s == nil {
		return nil
	}
	return s.f.Close()
}

// scanPage notes the chunks of a leaf page.
func (s *Salvaged) scanPage(page []byte, offset int64) {
	leaf, err := wholeLeaf(s.f, page, offset, mostChunks)
	if err != nil {
		s.Unread++
	}
	eachPair(leaf, offset, func(e element, at int64) {
		if len(e.key) != keySize || e.length > chunkSize || e.length > len(e.value) {
			return
		}
		p := bridge.Position(binary.BigEndian.Uint64(e.key))
		chunk := int(binary.BigEndian.Uint16(e.key[8:]))
		s.pieces[p] = append(s.pieces[p], piece{chunk, at, e.length})
	})
}

// assemble puts the block at p together from the versions of its chunks.
// The newest versions are tried first: pages are reused from the front, so later in the
// file mostly is later in time. It is a guess; the checksum decides.
func (s *Salvaged) assemble(p bridge.Position, pieces []piece) (b Found, ok bool) {
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
		b = Found{Header: h, pieces: []piece{first}}
		if s.complete(&b, versions, 1<<10) {
			return b, true
		}
	}
	return b, false
}

// complete tries the versions of the chunks after those in b, until the checksum
// is right or tries are used up.
// The tries are shared out among the versions of each chunk, since all combinations of
// many would take for ever.
func (s *Salvaged) complete(b *Found, versions map[int][]piece, tries int) bool {
	length := 0
	for _, x := range b.pieces {
		length += x.length
	}
	if length == b.Length() {
		bytes, err := s.Read(b)
		if err != nil {
			return false
		}
		_, _, err = block.Open(bytes)
		return err == nil
	}
	n := len(b.pieces)
	next := versions[n]
	if length > b.Length() {
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
func (s *Salvaged) readAt(b []byte, offset int64) error {
	_, err := s.f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		s.Unread++
	}
	return err
}

// Read returns a block; it is valid until the next call.
func (s *Salvaged) Read(b *Found) ([]byte, error) {
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

// Rebuild writes the blocks into a new file at path. Their cumulative counts are
// put right, so that the file is whole in itself. It returns the new file's
// account.
// After an error the new file is worth nothing; the caller removes it.
func (s *Salvaged) Rebuild(path string, size int64) (a block.Account, err error) {
	f, err := Create(path, size)
	if err != nil {
		return a, err
	}
	a.Total = s.Blocks[0].Before
	// Not all in one transaction, which would hold all of them in memory.
	for some := range slices.Chunk(s.Blocks, 64) {
		blocks := make([]Block, 0, len(some))
		for i := range some {
			bytes, err := s.Read(&some[i])
			if err != nil {
				return a, errors.Join(err, f.Close())
			}
			h := some[i].Header
			h.Before = a.Total
			bytes = slices.Clone(bytes)
			h.Put(bytes)
			blocks = append(blocks, Block{h.First, bytes})
			a.Take(&h)
		}
		if _, err := f.Append(blocks...); err != nil {
			return a, errors.Join(err, f.Close())
		}
	}
	return a, f.Close()
}
