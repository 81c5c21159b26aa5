package fetch

import (
	"encoding/binary"
	"errors"
)

// As much of CBOR (RFC 8949) as file streams speak: maps from texts to unsigned
// numbers, texts, byte strings and lists of such maps. Whatever else stands there is
// passed over.

// Major types (RFC 8949, section 3.1).
const (
	unsigned byte = iota << 5
	negative
	byteString
	text
	list
	mapping
	tag
	simple
)

// deepest is how deep what is passed over may be nested.
const deepest = 8

var errCBOR = errors.New("the cloud's CBOR is damaged")

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendText(b []byte, s string) []byte { return append(appendHead(b, text, uint64(len(s))), s...) }

func appendNumber(b []byte, key string, n int) []byte {
	return appendHead(appendText(b, key), unsigned, uint64(n))
}

type decoder struct{ rest []byte }

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errCBOR
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken, nil
}

// head reads the initial byte and its argument. Lengths that are not given beforehand
// are not taken.
func (d *decoder) head() (major byte, n uint64, err error) {
	first, err := d.take(1)
	if err != nil {
		return 0, 0, err
	}
	major, n = first[0]&0xe0, uint64(first[0]&0x1f)
	if n < 24 {
		return major, n, nil
	}
	if n > 27 {
		return 0, 0, errCBOR
	}
	more, err := d.take(1 << (n - 24))
	n = 0
	for _, b := range more {
		n = n<<8 | uint64(b)
	}
	return major, n, err
}

// of reads a head and makes sure of its kind.
func (d *decoder) of(want byte) (uint64, error) {
	major, n, err := d.head()
	if err == nil && major != want {
		err = errCBOR
	}
	return n, err
}

func (d *decoder) bytes(kind byte) ([]byte, error) {
	n, err := d.of(kind)
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

// number reads what counts or measures: nothing here is larger than 2^31.
func (d *decoder) number() (int, error) {
	n, err := d.of(unsigned)
	if err == nil && n > 1<<31-1 {
		err = errCBOR
	}
	return int(n), err
}

// skip passes a value over.
func (d *decoder) skip(depth int) error {
	major, n, err := d.head()
	switch {
	case err != nil:
		return err
	case depth > deepest:
		return errCBOR
	case major == byteString || major == text:
		_, err = d.take(n)
		return err
	case major == tag:
		n = 1
	case major == mapping && n <= uint64(len(d.rest)):
		n *= 2
	case major != list && major != mapping:
		return nil
	}
	for ; n > 0 && err == nil; n-- {
		err = d.skip(depth + 1)
	}
	return err
}

// object reads a map; each returns whether it has read the value of a key.
func (d *decoder) object(each func(key string) (bool, error)) error {
	n, err := d.of(mapping)
	for ; n > 0 && err == nil; n-- {
		var key []byte
		if key, err = d.bytes(text); err != nil {
			break
		}
		var read bool
		if read, err = each(string(key)); err == nil && !read {
			err = d.skip(0)
		}
	}
	return err
}

// answer is what comes: of a block, a description or a refusal.
type answer struct {
	file, block, version int
	payload              []byte
	sizes                map[int]int // by file
	code, message        string
}

func decode(data []byte) (a answer, err error) {
	d := decoder{data}
	var s []byte
	err = d.object(func(key string) (bool, error) {
		var err error
		switch key {
		case "f":
			a.file, err = d.number()
		case "i":
			a.block, err = d.number()
		case "s":
			a.version, err = d.number()
		case "p":
			a.payload, err = d.bytes(byteString)
		case "o", "code":
			s, err = d.bytes(text)
			a.code = string(s)
		case "m", "message":
			s, err = d.bytes(text)
			a.message = string(s)
		case "r":
			err = a.files(&d)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && len(d.rest) > 0 {
		err = errCBOR
	}
	return a, err
}

// files reads the list of a description.
func (a *answer) files(d *decoder) error {
	n, err := d.of(list)
	a.sizes = map[int]int{}
	for ; n > 0 && err == nil; n-- {
		var file, size int
		err = d.object(func(key string) (bool, error) {
			var err error
			switch key {
			case "f":
				file, err = d.number()
			case "z":
				size, err = d.number()
			default:
				return false, nil
			}
			return true, err
		})
		a.sizes[file] = size
	}
	return err
}
