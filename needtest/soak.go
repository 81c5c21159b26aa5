package needtest

import (
	"os"
	"strconv"
)

// Soak returns how often a test does something by chance: few times, or as often as
// FIELDBRIDGE_SOAK says.
func Soak(few int) int {
	if n, err := strconv.Atoi(os.Getenv("FIELDBRIDGE_SOAK")); err == nil {
		return n
	}
	return few
}
