// Package minisign reads the keys of minisign (https://jedisct1.github.io/minisign)
// and signs and verifies as that program does: Ed25519 over the BLAKE2b-512 of a
// file, with a comment that is signed, too. Keys of secrets that are encrypted are
// not read: nobody is there to type a password.
package minisign
