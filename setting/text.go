package setting

import (
	"bytes"
	"errors"
)

// ErrUTF16 is that a text file is not UTF-8, mostly since a program of Windows
// wrote it.
var ErrUTF16 = errors.New("is UTF-16")

// FixUTF16 says what to do about it.
const FixUTF16 = "save it as UTF-8 (in Notepad: Save as, Encoding UTF-8; in PowerShell: -Encoding ascii)"

// byteOrderMark is what some editors put before UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Text returns what a text file has without byte order marks: one at its start,
// and those before each -----BEGIN of files that were put together. UTF-16 is
// [ErrUTF16].
func Text(content []byte) ([]byte, error) {
	if isUTF16(content) {
		return nil, ErrUTF16
	}
	content = bytes.TrimPrefix(content, byteOrderMark)
	begin := []byte("-----BEGIN ")
	if marked := append(bytes.Clone(byteOrderMark), begin...); bytes.Contains(content, marked) {
		content = bytes.ReplaceAll(content, marked, begin)
	}
	return content, nil
}

// isUTF16 knows it by its mark, or by every other byte of the first letters that
// is zero, which no text has.
func isUTF16(b []byte) bool {
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return true
	}
	if len(b) < 4 {
		return false
	}
	return b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0 || b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0
}
