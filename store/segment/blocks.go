package segment

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// A block is cut into chunks so that two of them and their keys fill a page: a
// long value would share its page with up to three neighbours, which bbolt writes
// again with each commit.
const (
	keySize   = 10 // position of the block's first batch, number of the chunk; big endian
	chunkSize = 2012
	maxChunks = 1 << 16
)

// Big endian, so that the order of the keys is that of the positions: bbolt appends to
// its last leaf, and a search finds the block that holds a position.
func chunkKey(first bridge.Position, chunk int) []byte {
	k := make([]byte, keySize)
	binary.BigEndian.PutUint64(k, uint64(first))
	binary.BigEndian.PutUint16(k[8:], uint16(chunk))
	return k
}

// Block is an encoded block and the position of its first batch, its key.
type Block struct {
	First bridge.Position
	Bytes []byte
}

// Append makes blocks durable in one transaction of two syncs. They must come
// after those that are there. It returns the bytes written. After an error nobody
// knows which pages have reached the disk: the file is not to be written again.
func (f *File) Append(blocks ...Block) (written int64, err error) {
	// The counts are bbolt's own: what the flash has to take is pages, not bytes of
	// blocks.
	before := f.db.Stats()
	err = guard(func() error {
		return f.db.Update(func(tx *bolt.Tx) error {
			bucket := tx.Bucket(blocksBucket)
			if bucket == nil {
				return Damaged("it has no blocks")
			}
			bucket.FillPercent = 1 // keys only ever grow
			for i := range blocks {
				if err := put(bucket, blocks[i].First, blocks[i].Bytes); err != nil {
					return err
				}
			}
			return nil
		})
	})
	after := f.db.Stats()
	after = after.Sub(&before)
	return after.TxStats.GetPageAlloc() + PageSize, err // one is the meta page
}

func put(bucket *bolt.Bucket, first bridge.Position, bytes []byte) error {
	if len(bytes) > chunkSize*maxChunks {
		return fmt.Errorf("a block of %d bytes is too long", len(bytes))
	}
	for chunk := 0; len(bytes) > 0; chunk++ {
		n := min(len(bytes), chunkSize)
		if err := bucket.Put(chunkKey(first, chunk), bytes[:n]); err != nil {
			return err
		}
		bytes = bytes[n:]
	}
	return nil
}

// view calls read with a cursor over the chunks.
func (f *File) view(read func(c *bolt.Cursor) error) error {
	return guard(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			bucket := tx.Bucket(blocksBucket)
			if bucket == nil {
				return Damaged("it has no blocks")
			}
			return read(bucket.Cursor())
		})
	})
}

// blockAt reads the block under the cursor's key k, and moves the cursor to the
// next one. The block is appended to buf[:0] and verified.
// Both the key and the header name the position: a chunk that got under another key
// is found out before the checksum, which alone would not tell whose it is.
func blockAt(c *bolt.Cursor, k, v, buf []byte) (b []byte, h block.Header, nextKey, nextValue []byte, err error) {
	if len(k) != keySize || binary.BigEndian.Uint16(k[8:]) != 0 {
		return buf, h, nil, nil, Damaged("key %x does not begin a block", k)
	}
	first := binary.BigEndian.Uint64(k)
	if h, err = block.ParseHeader(v); err != nil {
		return buf, h, nil, nil, Damaged("block %d: %w", first, err)
	}
	if uint64(h.First) != first {
		return buf, h, nil, nil, Damaged("block %d has the key %d", h.First, first)
	}
	b = append(buf[:0], v...)
	for chunk := 1; ; chunk++ {
		if k, v = c.Next(); k == nil || len(k) != keySize || binary.BigEndian.Uint64(k) != first {
			break
		}
		if int(binary.BigEndian.Uint16(k[8:])) != chunk || len(b) > h.Length() {
			return b, h, nil, nil, Damaged("block %d: its pieces do not fit", first)
		}
		b = append(b, v...)
	}
	if _, _, err := block.Open(b); err != nil {
		return b, h, nil, nil, Damaged("block %d: %w", first, err)
	}
	return b, h, k, v, nil
}

// Walk calls visit with each block, in order. The block is valid until visit
// returns.
func (f *File) Walk(visit func(h *block.Header, bytes []byte) error) error {
	return f.view(func(c *bolt.Cursor) error {
		var b []byte
		for k, v := c.First(); k != nil; {
			var h block.Header
			var err error
			if b, h, k, v, err = blockAt(c, k, v, b); err != nil {
				return err
			}
			if err := visit(&h, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// Find reads the block with the first batch at or after p, appended to buf[:0].
// It returns no block when there is none.
// Blocks leave gaps where batches were done before they were written, so p itself may
// be in none.
func (f *File) Find(p bridge.Position, buf []byte) (b []byte, h block.Header, err error) {
	err = f.view(func(c *bolt.Cursor) error {
		k, _ := c.Seek(chunkKey(p+1, 0))
		var v []byte
		// The one before that begins at p or earlier, and may hold p.
		if k == nil {
			k, _ = c.Last()
		} else if before, _ := c.Prev(); before != nil {
			k = before
		} else {
			k, _ = c.First()
		}
		if len(k) == keySize { // the block of this chunk
			k, v = c.Seek(chunkKey(bridge.Position(binary.BigEndian.Uint64(k)), 0))
		}
		for k != nil {
			var err error
			if b, h, k, v, err = blockAt(c, k, v, buf); err != nil {
				return err
			}
			if h.Last >= p {
				return nil
			}
			buf, b = b, nil
		}
		b = nil
		return nil
	})
	return b, h, err
}

// Survey reads every block and returns the account of those below limit, of which
// none may begin before first. What begins at limit or later is of a commit that
// failed: its batches are elsewhere.
func (f *File) Survey(first, limit bridge.Position) (a block.Account, err error) {
	a.First = first
	err = f.Walk(func(h *block.Header, _ []byte) error {
		switch {
		case h.First >= limit:
			return nil
		case h.First < first || h.First <= a.Last:
			return Damaged("block %d is out of order", h.First)
		case a.Last != 0 && h.Before != a.Total:
			return Damaged("blocks are missing between batch %d and %d", a.Last, h.First)
		}
		a.Take(h)
		return nil
	})
	return a, err
}

// Check reads every block and compares them with what is known of the file. Of
// one without a last batch nothing is known.
func (f *File) Check(known *block.Account) error {
	limit := block.MaxPosition
	if known.Last != 0 {
		limit = known.Last + 1
	}
	a, err := f.Survey(known.First, limit)
	if err == nil && known.Last != 0 && (a.Written != known.Written || a.Last != known.Last) {
		err = Damaged("it has %d batches up to %d instead of %d up to %d",
			a.Written.Batches, a.Last, known.Written.Batches, known.Last)
	}
	return err
}
