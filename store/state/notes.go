package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fieldbridge/condition"
	"fieldbridge/store/disk"
)

const (
	// NoteWithin is how long a note may be in memory alone. All that come in this
	// time cost one file, written and synced once.
	NoteWithin = 30 * time.Second

	// notesFile has all notes. No key is called so.
	notesFile = "notes~"
)

// Note implements [bridge.Notebook]: the value is on disk [NoteWithin] later, or
// with the next note that is put, or when the state is closed. It does not wait
// for the disk.
func (s *Files) Note(key string, value []byte) error {
	if err := s.check(key, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.notes[key]
	if known && bytes.Equal(old, value) {
		return nil
	}
	if !known {
		s.moved = append(s.moved, key)
	}
	if s.notes == nil {
		s.notes = make(map[string][]byte)
	}
	s.notes[key] = bytes.Clone(value)
	s.dueLocked()
	return nil
}

// The timer runs from the first note, not the last: many in a row do not put it off.
func (s *Files) dueLocked() {
	if s.due == nil {
		s.due = time.AfterFunc(NoteWithin, func() { _ = s.writeNotes() }) // Health tells of an error
	}
}

// writeNotes puts the notes on disk, if they are not.
// It is called by the timer, by Put and by Close, and does nothing if another call has
// written all meanwhile.
func (s *Files) writeNotes() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.due == nil {
		s.mu.Unlock()
		return nil
	}
	s.due.Stop()
	s.due = nil
	// Packed under the lock, written without it: who notes or reads waits for no disk.
	data, moved := packNotes(s.notes), s.moved
	s.moved = nil
	s.mu.Unlock()
	err := s.replace(notesFile, data)
	if err == nil {
		for _, key := range moved {
			_ = os.Remove(filepath.Join(s.dir, key)) // the note is newer; mostly there is none
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.conditions.Clear(condition.StateUnsaved, "state")
		return nil
	}
	// It is tried again in NoteWithin; what is noted is in memory until then.
	s.moved = append(s.moved, moved...)
	s.conditions.Raise(condition.StateUnsaved, "state", disk.Advice(err))
	if !s.closed {
		s.dueLocked()
	}
	return fmt.Errorf("write notes of the state: %w", err)
}

// packNotes returns the notes as the content of their file: of each the length of
// its frame (4 bytes, little endian) and the frame, whose value is the length of
// the key (uvarint), the key and the value.
// Each has a checksum of its own, so that damage to one takes no other with it, as
// long as the lengths are right.
func packNotes(notes map[string][]byte) []byte {
	var data, one []byte
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		one = append(binary.AppendUvarint(one[:0], uint64(len(key))), key...)
		frame := disk.Frame(append(one, notes[key]...))
		data = binary.LittleEndian.AppendUint32(data, uint32(len(frame)))
		data = append(data, frame...)
	}
	return data
}

// unpackNotes returns the notes in data that are whole, and how many are not: what
// follows a length that is wrong counts as one.
func unpackNotes(data []byte) (notes map[string][]byte, damaged int) {
	notes = make(map[string][]byte)
	for len(data) > 0 {
		if len(data) < 4 {
			return notes, damaged + 1
		}
		n := binary.LittleEndian.Uint32(data)
		data = data[4:]
		if uint64(n) > uint64(len(data)) {
			return notes, damaged + 1
		}
		value, ok := disk.Unframe(data[:n])
		data = data[n:]
		length, size := binary.Uvarint(value)
		if !ok || size <= 0 || length > uint64(len(value)-size) {
			damaged++
			continue
		}
		value = value[size:]
		notes[string(value[:length])] = bytes.Clone(value[length:])
	}
	return notes, damaged
}

// readNotes reads the notes at the start, before others know of s. Of a damaged
// file what is whole is kept.
func (s *Files) readNotes() {
	data, err := os.ReadFile(filepath.Join(s.dir, notesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	damaged := 0
	if err == nil {
		if s.notes, damaged = unpackNotes(data); damaged == 0 {
			return
		}
		err = fmt.Errorf("%d of its notes are damaged", damaged)
	}
	if s.readOnly {
		return
	}
	s.setAside(notesFile, err)
	s.dueLocked()
	_ = s.writeNotes() // Health tells of an error
}
