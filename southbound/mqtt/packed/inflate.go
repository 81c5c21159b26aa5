package packed

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
)

// What is inflated has at most so many bytes: some for each byte that it was packed
// in, and never more than most.
const (
	least   = 64 << 10
	perByte = 64
	most    = 4 << 20
)

// ErrLarge is of what is larger than may be inflated.
var ErrLarge = errors.New("inflated it is too large")

// Compressed reports whether b begins as gzip or zlib does and as no text can: the
// levels of zlib that begin as x^ are left to who knows that b is no text.
func Compressed(b []byte) bool { return isGzip(b) || isZlib(b) && b[1] != '^' }

// CompressedJSON is Compressed for what is JSON, unless it is compressed.
func CompressedJSON(b []byte) bool { return isGzip(b) || isZlib(b) }

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

// isZlib knows a window of 32 KiB, which all use.
func isZlib(b []byte) bool {
	return len(b) > 2 && b[0] == 'x' && (b[1] == 0x01 || b[1] == '^' || b[1] == 0x9c || b[1] == 0xda)
}

// Inflate returns what was compressed as b, by gzip or zlib.
func Inflate(b []byte) ([]byte, error) {
	var r io.Reader
	var err error
	if isGzip(b) {
		r, err = gzip.NewReader(bytes.NewReader(b))
	} else {
		r, err = zlib.NewReader(bytes.NewReader(b))
	}
	if err != nil {
		return nil, err
	}
	bound := min(least+perByte*len(b), most)
	text, err := io.ReadAll(io.LimitReader(r, int64(bound)+1))
	if err == nil && len(text) > bound {
		err = ErrLarge
	}
	return text, err
}
