package wire

import (
	"fmt"
	"strconv"
)

// ParseRef reads an address as manuals print it: a digit for the table, then
// the number from 1.
func ParseRef(s string) (Table, int, error) {
	fail := fmt.Errorf("%q is not a reference: write 40001, 400001 (holding), 30001 (input), 10001 (discrete) or 00001 "+
		"(coil)", s)
	if len(s) != 5 && len(s) != 6 {
		return 0, 0, fail
	}
	n, err := strconv.ParseUint(s[1:], 10, 32)
	if err != nil || n < 1 || n > 65536 {
		return 0, 0, fail
	}
	switch s[0] {
	case '0':
		return Coil, int(n) - 1, nil
	case '1':
		return Discrete, int(n) - 1, nil
	case '3':
		return Input, int(n) - 1, nil
	case '4':
		return Holding, int(n) - 1, nil
	}
	return 0, 0, fail
}
