package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// Verified is what a verification finds in a file.
type Verified struct {
	File  string       // below the folder
	Bytes int64        // on disk
	Count bridge.Count // what can be read of it
	// Damage is what is wrong, nil if nothing is. In quarantine it is nil: what
	// was wrong was accounted for when the file was set aside.
	Damage     error
	Quarantine bool
}

// VerifyQuarantine lists the files that were set aside.
// It reads all of each. Nothing is changed: what is there was accounted for.
func VerifyQuarantine(ctx context.Context, dir string, found func(Verified)) error {
	dir = filepath.Join(dir, QuarantineDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Name())
		v := Verified{File: filepath.Join(QuarantineDir, e.Name()), Bytes: disk.Size(path), Quarantine: true}
		switch {
		case strings.HasPrefix(e.Name(), SegmentPrefix), strings.HasPrefix(e.Name(), DeadDir+"-"+SegmentPrefix):
			v.Count = salvageable(path)
		case strings.HasPrefix(e.Name(), OldFile):
			// What a damaged file still gives is what can be saved of it.
			_, _, _ = EachOldLetter(path, func(l DeadLetter) error {
				v.Count = v.Count.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
				return nil
			})
		}
		found(v)
	}
	return err
}

// salvageable returns what has a right checksum in a damaged segment.
// Some of it may be in the queue by now: what could be saved was written to a new
// segment when the file was set aside.
func salvageable(path string) (n bridge.Count) {
	s, err := segment.Salvage(path, 1, block.MaxPosition)
	if err != nil {
		return n
	}
	defer func() { _ = s.Close() }()
	for i := range s.Blocks {
		n = n.Add(s.Blocks[i].Count)
	}
	return n
}
