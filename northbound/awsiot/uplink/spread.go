package uplink

import (
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	// Of the 500 CONNECTs per second that AWS takes of an account (AWS General Reference,
	// "AWS IoT Core protocol limits and quotas": a default, less in small regions), a
	// fleet whose port comes back takes less than half.
	fleetRate   = 233
	leastSpread = 2 * time.Second
)

// spread returns the time over which gateways that wait for the same port send
// their first CONNECTs when it answers again.
func (b *Backoff) spread() time.Duration {
	return max(leastSpread, b.Min.D(), time.Duration(b.Gateways)*time.Second/fleetRate)
}

// slot returns how long after now the moment of a client comes within the spread.
// Moments that each draws for itself would put a sixth more into some seconds; so they
// are fixed to the clock, and clients that are numbered have them as far apart as can
// be. Where a clock is wrong, it is a random moment still, and so it is of a client
// without a name.
func (b *Backoff) slot(client string, now time.Time) time.Duration {
	period := b.spread()
	if client == "" {
		return rand.N(period)
	}
	at, _ := bits.Mul64(place(client), uint64(period))
	return (time.Duration(at) - time.Duration(now.UnixNano())%period + period) % period
}

// golden is 2^64 divided by the golden ratio. Its multiples by consecutive numbers
// divide a circle into arcs of hardly different length, however many they are (the
// three-distance theorem).
const golden = 0x9E3779B97F4A7C15

// place returns where a client stands on a circle of 2^64: by the last number in its
// name, from a point that the rest of the name tells.
func place(client string) uint64 {
	const digits = "0123456789"
	end := strings.LastIndexAny(client, digits) + 1
	begin := len(strings.TrimRight(client[:end], digits))
	number := uint64(0)
	for _, digit := range []byte(client[begin:end]) {
		number = number*10 + uint64(digit-'0') // of one that is too long, what is left of it
	}
	rest := fnv.New64a()
	_, _ = rest.Write([]byte(client[:begin]))
	_, _ = rest.Write([]byte{0})
	_, _ = rest.Write([]byte(client[end:]))
	return mix(rest.Sum64()) + number*golden
}

// mix spreads what differs in a few bits over all: FNV leaves the first ones of short
// names alike (MurmurHash3's finalizer, public domain).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	return h ^ h>>33
}
