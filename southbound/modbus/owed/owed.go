// Package owed remembers, over a kill, which points are on and owe their off: a
// pulse is in the book before it begins, and is taken out some time after its end.
package owed

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"fieldbridge/bridge"
)

const key = "modbus.pulses"

// Point names a point of a device.
type Point struct {
	Device string `json:"device"`
	Point  string `json:"point"`
}

// Book is the points that are on. It is safe for concurrent use.
type Book struct {
	state bridge.State // nil forgets

	saving sync.Mutex // one write to the disk after the other

	mu    sync.Mutex
	on    []Point // guarded by mu
	left  []Point // guarded by mu; of an earlier process, not taken over yet
	dirty bool    // guarded by mu; the disk has others
}

// Open returns the book that an earlier process left in state, which may be nil. A
// book that cannot be read is empty, and the error says why.
func Open(state bridge.State) (*Book, error) {
	b := &Book{state: state}
	if state == nil {
		return b, nil
	}
	data, err := state.Get(key)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &b.on)
	}
	if err != nil {
		return &Book{state: state}, fmt.Errorf("which points are on and owe their off cannot be read: %w", err)
	}
	b.left = slices.Clone(b.on)
	return b, nil
}

// Take returns the points of a device that an earlier process left on, once.
func (b *Book) Take(device string) (points []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = slices.DeleteFunc(b.left, func(p Point) bool {
		if p.Device == device {
			points = append(points, p.Point)
		}
		return p.Device == device
	})
	return points
}

// Begin notes that a point is about to be on, and returns when that is on the disk.
func (b *Book) Begin(p Point) error {
	b.mu.Lock()
	b.on = append(b.on, p)
	b.dirty = true
	b.mu.Unlock()
	if err := b.Save(); err != nil {
		b.End(p)
		return err
	}
	return nil
}

// End notes that a point is off. It waits for nothing: [Book.Save] writes it down.
func (b *Book) End(p Point) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.on, p); i >= 0 {
		b.on, b.dirty = slices.Delete(b.on, i, i+1), true
	}
}

// Save writes down what has changed.
func (b *Book) Save() error {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	on, dirty := append([]Point{}, b.on...), b.dirty
	b.dirty = false
	b.mu.Unlock()
	if !dirty || b.state == nil {
		return nil
	}
	data, err := json.Marshal(on)
	if err == nil {
		err = b.state.Put(key, data)
	}
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("it cannot be saved which points are on: %w", err)
	}
	return nil
}
