//go:build !linux

package journal

// Journal is for Linux.
type Journal struct{}

// Check reports that there is no journal on this system.
func Check(string) error { return ErrUnsupported }

// Open reports that there is no journal on this system.
func Open(string, [16]byte, int, func(uint64, []byte)) (*Journal, Left, error) {
	return nil, Left{}, ErrUnsupported
}

func look(string, [16]byte, func(uint64, []byte)) (*Journal, error) { return nil, nil }

func (*Journal) anew(string, [16]byte, int) (*Journal, error) { return nil, ErrUnsupported }

// Append fails.
func (*Journal) Append([]byte) (uint64, error) { return 0, ErrUnsupported }

// Release fails.
func (*Journal) Release(uint64) error { return ErrUnsupported }

// Rebase fails.
func (*Journal) Rebase(uint64) error { return ErrUnsupported }

// Base returns 0.
func (*Journal) Base() uint64 { return 0 }

// Begin fails.
func (*Journal) Begin([8]byte) error { return ErrUnsupported }

// Run returns "".
func (*Journal) Run() string { return "" }

// Head returns 0.
func (*Journal) Head() uint64 { return 0 }

// Size returns 0.
func (*Journal) Size() int { return 0 }

// Close does nothing.
func (*Journal) Close() error { return nil }

// EndsWithContainer returns "".
func EndsWithContainer(string) string { return "" }
