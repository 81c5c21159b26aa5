// Package password keeps and checks passwords, of sensors and of people: hashes as
// Mosquitto writes them, and a guard that makes guessing slow without making
// those wait who know theirs.
package password

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// iterations of a new hash: some 5 ms of a core of a small PC, 30 of a Raspberry
	// Pi's. Mosquitto reads any number.
	iterations = 10_000
	// mostIterations bounds what a file may ask of us for one login.
	mostIterations = 1_000_000
	saltSize       = 12
)

// ErrHash is of a text that is not a hash of a kind that is known.
var ErrHash = errors.New("not a password's hash: `fieldbridge sensors password` writes one")

// Hash is what is kept of a password. The zero Hash matches nothing, and takes
// as long as another to say so.
type Hash struct {
	kind       byte // '7', '6', or 'c' for clear text
	iterations int
	salt, sum  []byte
}

// New returns the hash of a password, as text, with a salt of its own: Mosquitto's
// $7$, PBKDF2 with HMAC-SHA-512.
func New(password []byte) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	sum, err := pbkdf2.Key(sha512.New, string(password), salt, iterations, sha512.Size)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("$7$%d$%s$%s", iterations, b64(salt), b64(sum)), nil
}

// IsHash reports whether text means to be a hash, and not a password.
func IsHash(text string) bool {
	return strings.HasPrefix(text, "$7$") || strings.HasPrefix(text, "$6$")
}

// Parse reads a hash of Mosquitto's: $7$iterations$salt$hash (PBKDF2), or
// $6$salt$hash (one round of SHA-512). A text that is neither is taken as the
// password itself.
func Parse(text string) (Hash, error) {
	if !IsHash(text) {
		return Hash{kind: 'c', sum: []byte(text)}, nil
	}
	parts := strings.Split(text, "$")[1:]
	h := Hash{kind: parts[0][0], iterations: 1}
	if h.kind == '7' {
		if len(parts) != 4 {
			return Hash{}, ErrHash
		}
		n, err := strconv.Atoi(parts[1])
		if err != nil || n < 1 || n > mostIterations {
			return Hash{}, fmt.Errorf("%w (its iterations are %q, of 1 to %d)", ErrHash, parts[1], mostIterations)
		}
		h.iterations = n
		parts = parts[1:]
	}
	if len(parts) != 3 {
		return Hash{}, ErrHash
	}
	var err error
	if h.salt, err = base64.StdEncoding.DecodeString(parts[1]); err != nil || len(h.salt) == 0 {
		return Hash{}, ErrHash
	}
	if h.sum, err = base64.StdEncoding.DecodeString(parts[2]); err != nil || len(h.sum) != sha512.Size {
		return Hash{}, ErrHash
	}
	return h, nil
}

// decoy is what no password gives.
var decoy = func() []byte {
	b := make([]byte, sha512.Size)
	_, _ = rand.Read(b) // never fails
	return b
}()

// Decoy returns a hash that matches nothing and takes as long as h to say so: for
// a user that does not exist, beside one that does.
func (h Hash) Decoy() Hash {
	h.sum = decoy
	return h
}

// Clear reports whether h is a password that stands in clear text.
func (h Hash) Clear() bool { return h.kind == 'c' }

// Matches reports whether password is the one that h was made of. Its time does
// not tell how much of it is right.
func (h Hash) Matches(password []byte) bool {
	var sum []byte
	switch h.kind {
	case '7':
		sum, _ = pbkdf2.Key(sha512.New, string(password), h.salt, h.iterations, sha512.Size) // the arguments are valid
	case '6':
		s := sha512.Sum512(append(append([]byte(nil), password...), h.salt...))
		sum = s[:]
	case 'c':
		a, b := sha512.Sum512(password), sha512.Sum512(h.sum) // so that the length tells nothing
		return subtle.ConstantTimeCompare(a[:], b[:]) == 1
	default: // an unknown user
		_, _ = pbkdf2.Key(sha512.New, string(password), make([]byte, saltSize), iterations, sha512.Size)
		return false
	}
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
