package folder

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// NewRun returns 40 random bits as 8 letters and digits: unique without a
// clock, a counter or a disk.
func NewRun() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
