package minisign

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// ErrOtherKey is that a signature was made with another key.
var ErrOtherKey = errors.New("it is signed with another key")

// ErrForged is that a signature, or its comment, does not belong to the content.
var ErrForged = errors.New("the signature does not fit: the content or the comment was changed")

// Sign returns the file that goes beside content, as NAME.minisig. The comment, of
// one line, is signed, too.
func (k SecretKey) Sign(content []byte, comment string) (string, error) {
	if strings.ContainsAny(comment, "\r\n") {
		return "", errors.New("a comment has one line")
	}
	sum := blake2b.Sum512(content)
	signature := ed25519.Sign(k.key, sum[:])
	global := ed25519.Sign(k.key, append(bytes.Clone(signature), comment...))
	body := append(append(bytes.Clone(hashed), k.id[:]...), signature...)
	return fmt.Sprintf("%ssignature from minisign secret key\n%s\n%s%s\n%s\n", untrusted, encoding.EncodeToString(body),
		trusted, comment, encoding.EncodeToString(global)), nil
}

// Verify checks the signature file of content and returns its comment, which is
// signed. It takes signatures of the hash and, as minisign does, those of old, of
// the content itself.
func (k PublicKey) Verify(content []byte, file string) (comment string, err error) {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(file, "\r\n", "\n"), "\n"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], untrusted) || !strings.HasPrefix(lines[2], trusted) {
		return "", errors.New("this is no signature of minisign: it has four lines")
	}
	body, err := encoding.DecodeString(lines[1])
	global, err2 := encoding.DecodeString(lines[3])
	if err != nil || err2 != nil || len(body) != 2+idSize+ed25519.SignatureSize || len(global) != ed25519.SignatureSize {
		return "", errors.New("the signature is damaged")
	}
	signature := body[2+idSize:]
	if !bytes.Equal(body[2:2+idSize], k.id[:]) {
		return "", ErrOtherKey
	}
	switch {
	case bytes.HasPrefix(body, hashed):
		sum := blake2b.Sum512(content)
		content = sum[:]
	case !bytes.HasPrefix(body, algorithm):
		return "", errors.New("the signature is of a kind that is not known")
	}
	comment = strings.TrimPrefix(lines[2], trusted)
	if !ed25519.Verify(k.key, content, signature) ||
		!ed25519.Verify(k.key, append(bytes.Clone(signature), comment...), global) {
		return "", ErrForged
	}
	return comment, nil
}

// SignRaw returns the Ed25519 signature over message itself, without a file and a
// comment: what 'minisign -S -l' has in its second line. [PublicKey.Ed25519] verifies it.
func (k SecretKey) SignRaw(message []byte) []byte { return ed25519.Sign(k.key, message) }
