package sparkplug

import (
	"testing"
	"time"
)

// The first time that can be believed counts, and none that cannot is a fault.
func TestTimeOf(t *testing.T) {
	now := uint64(arrival.UnixMilli())
	day := uint64(24 * time.Hour / time.Millisecond)
	for _, c := range []struct {
		metric, whole, want uint64
		believed            bool
	}{
		{0, 0, now, true}, {now - 5, now, now - 5, true}, {now + 2*day, now - 5, now - 5, true},
		{946684800000, 0, now, false}, {1 << 63, now + 2*day, now, false}, {0, now - 3000*day, now - 3000*day, true},
	} {
		at, believed := timeOf(c.metric, c.whole, arrival)
		if at.UnixMilli() != int64(c.want) || believed != c.believed {
			t.Errorf("%d, %d: %v, %v", c.metric, c.whole, at, believed)
		}
	}
}
