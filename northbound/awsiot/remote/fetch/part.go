package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// blockSize is that of the blocks, in bytes: AWS bills messages by 5 KiB, and 8 of
	// these are what it gives at once.
	blockSize = 16 << 10
	// saveEvery is how many bytes may have to be fetched again after a power cut.
	saveEvery = 1 << 20
	// maxTag is the longest tag that is kept, in bytes.
	maxTag = 256
)

// part is a file that is on its way. One owner; not safe for concurrent use.
type part struct {
	want  File
	path  string // of the whole file; the part is beside it
	file  *os.File
	have  []byte // one bit a block, the lowest first
	left  int    // blocks that miss
	fresh int    // bytes that the map on disk does not know of
	again bool   // there were blocks from before
	tag   string // of the file on the server that the blocks are of (ETag), "" if it gives none
}

func (p *part) blocks() int { return int((p.want.Size + blockSize - 1) / blockSize) }

func (p *part) has(i int) bool { return p.have[i/8]>>(i%8)&1 != 0 }

// length returns how many bytes a block has.
func (p *part) length(i int) int { return int(min(blockSize, p.want.Size-int64(i)*blockSize)) }

// percent tells how much is there.
func (p *part) percent() int { return (p.blocks() - p.left) * 100 / p.blocks() }

// openPart goes on with what is there of a file, and removes what is there of others.
func openPart(dir string, want File) (*part, error) {
	p := &part{want: want, path: filepath.Join(dir, want.SHA256)}
	p.have, p.left = make([]byte, (p.blocks()+7)/8), p.blocks()
	others, _ := filepath.Glob(filepath.Join(dir, "*")) // it is well formed
	for _, path := range others {
		if !strings.HasPrefix(path, p.path) {
			_ = os.Remove(path) // it only takes room; a whole one is of a job that was cut
		}
	}
	var err error
	if p.file, err = os.OpenFile(p.path+".part", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if info, err := p.file.Stat(); err == nil && info.Size() == want.Size {
		p.load()
	}
	if err := p.file.Truncate(want.Size); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// load reads the map: the bits, the tag, and their checksum. A damaged one is as none.
func (p *part) load() {
	data, err := os.ReadFile(p.path + ".map")
	end := len(data) - 4
	if err != nil || end < len(p.have) || end > len(p.have)+maxTag ||
		crc32.ChecksumIEEE(data[:end]) != binary.BigEndian.Uint32(data[end:]) {
		return
	}
	copy(p.have, data)
	p.tag = string(data[len(p.have):end])
	if last := p.blocks() % 8; last != 0 {
		p.have[len(p.have)-1] &= 1<<last - 1
	}
	for i := range p.blocks() {
		if p.has(i) {
			p.left--
		}
	}
	p.again = p.left < p.blocks()
}

// put keeps a block and reports whether it was missing.
func (p *part) put(i int, data []byte) (bool, error) {
	if i < 0 || i >= p.blocks() || p.has(i) || len(data) != p.length(i) {
		return false, nil
	}
	if _, err := p.file.WriteAt(data, int64(i)*blockSize); err != nil {
		return false, err
	}
	p.have[i/8] |= 1 << (i % 8)
	p.left--
	if p.fresh += len(data); p.fresh >= saveEvery {
		return true, p.save()
	}
	return true, nil
}

// save puts the map on disk, after the blocks that it tells of.
func (p *part) save() error {
	if p.fresh == 0 {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	data := append(bytes.Clone(p.have), p.tag...)
	data = binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
	if err := replace(p.path+".map", data); err != nil {
		return err
	}
	p.fresh = 0
	return nil
}

func replace(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// tagged notes the tag of the file that comes, "" for none. If the blocks that are there
// are of another one, they are forgotten.
func (p *part) tagged(tag string) (replaced bool, err error) {
	if len(tag) > maxTag {
		tag = ""
	}
	if replaced = tag != "" && p.tag != "" && tag != p.tag && p.left < p.blocks(); replaced {
		err = p.forget()
	}
	p.tag = tag
	return replaced, err
}

// forget begins anew.
func (p *part) forget() error {
	clear(p.have)
	p.left, p.fresh, p.again, p.tag = p.blocks(), 0, false, ""
	if err := os.Remove(p.path + ".map"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// finish checks the whole file and gives it its name.
func (p *part) finish() error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := p.want.check(p.file); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.path+".part", p.path); err != nil {
		return err
	}
	p.fresh = 0                    // there is no map any more
	_ = os.Remove(p.path + ".map") // the next one removes it, too
	d, err := os.Open(filepath.Dir(p.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// close keeps what is there for the next time.
func (p *part) close() error { return errors.Join(p.save(), p.file.Close()) }

// check reads all of r, which must be the file.
func (w File) check(r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, w.Size+1))
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); n != w.Size || sum != w.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, and %s was signed", ErrWrong, sum, w.SHA256)
	}
	return nil
}
