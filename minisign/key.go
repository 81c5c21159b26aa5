package minisign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// A file of minisign is a line of comment and one of base64; the numbers are bytes.
const (
	untrusted  = "untrusted comment: "
	trusted    = "trusted comment: "
	idSize     = 8
	publicSize = 2 + idSize + ed25519.PublicKeySize
	sumSize    = 32
	secretSize = 2 + 2 + 2 + 32 + 8 + 8 + idSize + ed25519.PrivateKeySize + sumSize
)

var (
	algorithm = []byte("Ed")       // of keys, and of signatures of old over the file itself
	hashed    = []byte("ED")       // of signatures over its hash
	checksum  = []byte("B2")       // BLAKE2b
	plain     = []byte{0, 0}       // a secret key that is not encrypted
	encrypted = []byte("Sc")       // ... and one that is, by scrypt
	encoding  = base64.StdEncoding // of all
)

// PublicKey verifies.
type PublicKey struct {
	id  [idSize]byte
	key ed25519.PublicKey
}

// ParsePublicKey reads a public key: the file, or its last line alone, as it
// stands in configurations.
func ParsePublicKey(text string) (PublicKey, error) {
	b, err := decode(text)
	if err != nil || len(b) != publicSize || !bytes.HasPrefix(b, algorithm) {
		return PublicKey{}, errors.New("this is no public key of minisign: it has 56 characters and begins with RW")
	}
	k := PublicKey{key: ed25519.PublicKey(b[2+idSize:])}
	copy(k.id[:], b[2:])
	return k, nil
}

// ID returns the key's number as minisign prints it.
func (k PublicKey) ID() string { return fmt.Sprintf("%X", binary.LittleEndian.Uint64(k.id[:])) }

// Ed25519 returns the key without its number: what verifies [SecretKey.SignRaw].
func (k PublicKey) Ed25519() ed25519.PublicKey { return k.key }

// String returns the key as one line.
func (k PublicKey) String() string {
	return encoding.EncodeToString(append(append(bytes.Clone(algorithm), k.id[:]...), k.key...))
}

// SecretKey signs.
type SecretKey struct {
	id  [idSize]byte
	key ed25519.PrivateKey
}

// NewSecretKey makes a key.
func NewSecretKey() (SecretKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SecretKey{}, err
	}
	k := SecretKey{key: key}
	_, err = rand.Read(k.id[:])
	return k, err
}

// ParseSecretKey reads the file that 'minisign -G -W' writes.
func ParseSecretKey(text string) (SecretKey, error) {
	b, err := decode(text)
	switch {
	case err != nil || len(b) != secretSize || !bytes.HasPrefix(b, algorithm) || !bytes.Equal(b[4:6], checksum):
		return SecretKey{}, errors.New("this is no secret key of minisign")
	case bytes.Equal(b[2:4], encrypted):
		return SecretKey{}, errors.New("the secret key is encrypted: make one without a password (minisign -G -W), " +
			"and keep it where only the release is made")
	case !bytes.Equal(b[2:4], plain):
		return SecretKey{}, errors.New("the secret key is of a kind that is not known")
	}
	b = b[secretSize-idSize-ed25519.PrivateKeySize-sumSize:]
	k := SecretKey{key: ed25519.PrivateKey(b[idSize : idSize+ed25519.PrivateKeySize])}
	copy(k.id[:], b)
	// minisign leaves the checksum out of a key that is not encrypted.
	told := b[len(b)-sumSize:]
	if sum := k.sum(); !bytes.Equal(told, make([]byte, sumSize)) && !bytes.Equal(told, sum[:]) {
		return SecretKey{}, errors.New("the secret key is damaged: its checksum is wrong")
	}
	return k, nil
}

// Public returns the key that verifies what k signs.
func (k SecretKey) Public() PublicKey {
	return PublicKey{k.id, k.key.Public().(ed25519.PublicKey)}
}

// File returns what ParseSecretKey reads. Whoever reads it can sign.
func (k SecretKey) File() string {
	b := append(append(bytes.Clone(algorithm), plain...), checksum...)
	b = append(b, make([]byte, 32+8+8)...)
	sum := k.sum()
	b = append(append(append(b, k.id[:]...), k.key...), sum[:]...)
	return untrusted + "minisign secret key " + k.Public().ID() + "\n" + encoding.EncodeToString(b) + "\n"
}

func (k SecretKey) sum() [sumSize]byte {
	return blake2b.Sum256(append(append(bytes.Clone(algorithm), k.id[:]...), k.key...))
}

// decode returns what the last line of a file holds.
func decode(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	return encoding.DecodeString(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]))
}
