package point

// OrderOf returns the order of some letters, A being the most significant byte: one
// of [Orders], or any in which the registers of 48 or 64 bits may lie (EFGHABCD,
// where a device swaps the halves of 64 bits). All registers have their bytes the
// same way round.
func OrderOf(letters string) (Order, bool) {
	if o, ok := Orders[letters]; ok {
		return o, true
	}
	n := len(letters) / 2
	if len(letters) != 6 && len(letters) != 8 {
		return Order{}, false
	}
	var at [4]int // of each register on the wire: 0 is the most significant
	swapped := letters[0] > letters[1]
	rank, seen := 0, 0
	for i := range n {
		a, b := letters[2*i], letters[2*i+1]
		if (a > b) != swapped {
			return Order{}, false
		}
		a, b = min(a, b), max(a, b)
		at[i] = int(a-'A') / 2
		if a < 'A' || int(a-'A') >= 2*n || (a-'A')%2 != 0 || b != a+1 || seen>>at[i]&1 != 0 {
			return Order{}, false
		}
		seen |= 1 << at[i]
		lower := 0 // of those that are left
		for k := range at[i] {
			lower += 1 - seen>>k&1
		}
		rank = rank*(n-i) + lower
	}
	return Order{bytes: swapped, shuffle: uint8(rank) + 1}, true
}

// ranks4 is in how many orders four registers may lie.
const ranks4 = 24

// shuffled returns the code for a number of registers in an order of their own.
func shuffled(width int, o Order) LoadCode {
	rank := int(o.shuffle) - 1
	if width == 48 {
		rank += ranks4
	}
	if rank *= 2; o.bytes {
		rank++
	}
	return loadShuffled + LoadCode(rank)
}

// places returns where the n registers of a number lie: at[i] is which of them is at
// i on the wire, 0 being the most significant.
func (c LoadCode) places() (at [4]int, n int, swapped bool) {
	code := int(c - loadShuffled)
	n, swapped = 4, code%2 != 0
	if code /= 2; code >= ranks4 {
		n, code = 3, code-ranks4
	}
	var digits [4]int
	for i := n - 1; i >= 0; i-- {
		digits[i] = code % (n - i)
		code /= n - i
	}
	taken := 0
	for i := range n {
		left := digits[i]
		for k := range n {
			if taken>>k&1 != 0 {
				continue
			}
			if left == 0 {
				at[i] = k
				taken |= 1 << k
				break
			}
			left--
		}
	}
	return at, n, swapped
}

// loadShuffled is load for registers in an order of their own.
func (c LoadCode) loadShuffled(data []byte) (v uint64) {
	at, n, swapped := c.places()
	for i := range n {
		a, b := data[2*i], data[2*i+1]
		if swapped {
			a, b = b, a
		}
		v |= (uint64(a)<<8 | uint64(b)) << (16 * (n - 1 - at[i]))
	}
	return v
}

// storeShuffled is the inverse of loadShuffled.
func (c LoadCode) storeShuffled(data []byte, v uint64) {
	at, n, swapped := c.places()
	for i := range n {
		word := v >> (16 * (n - 1 - at[i]))
		data[2*i], data[2*i+1] = byte(word>>8), byte(word)
		if swapped {
			data[2*i], data[2*i+1] = data[2*i+1], data[2*i]
		}
	}
}
