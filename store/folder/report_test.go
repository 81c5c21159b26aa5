package folder

import (
	"testing"
	"time"
)

// TestFullIn: nothing is said by what the empty pages of a young file take.
func TestFullIn(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		span        time.Duration
		bytes, left int64
		want        time.Duration
	}{
		{time.Hour, mib, 24 * mib, 24 * time.Hour},
		{30 * time.Second, mib, 24 * mib, 0},
		{90 * time.Second, 76 << 10, 1023 * mib, 0}, // two files of a gateway with five readings a second
		{time.Hour, mib, 0, 0},
		{time.Hour, 0, mib, 0},
	} {
		if got := FullIn(tt.span, tt.bytes, tt.left); got != tt.want {
			t.Errorf("%v, %d bytes, %d left: %v, want %v", tt.span, tt.bytes, tt.left, got, tt.want)
		}
	}
}
