package disk

import (
	"errors"
	"os"
)

// zeros is a piece of what Fill writes: a page. A longer write makes a large folio in
// the page cache, all of which is then dirty, by the kernel's count, with each page
// that is changed: 38 KB a commit where 52 KB were, with 16 KiB here.
var zeros [4 << 10]byte

// Fill makes the bytes from..to-1 of a file zero, with their place on the disk.
// If that fails the file has its length of before.
// The zeros are written and not only allocated: a page that was never written costs
// a transaction of the file system's journal at its first sync.
func Fill(path string, from, to int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for at := from; at < to && err == nil; {
		var n int
		n, err = f.WriteAt(zeros[:min(int64(len(zeros)), to-at)], at)
		at += int64(n)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(max(info.Size(), from)) // give the space back; err says what is wrong
	}
	return err
}

// Repage writes a small file again, in its place and page by page, for the same
// reason. It is not synced.
func Repage(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		var n int
		n, err = f.Write(data[:min(len(data), len(zeros))])
		data = data[n:]
	}
	return errors.Join(err, f.Close())
}
