// Package packed makes text of what sensors pack: JSON of CBOR (RFC 8949) and of
// MessagePack, and whatever was compressed as it was (gzip, RFC 1952; zlib, RFC
// 1950). It is pure, and all that it makes has a bound that hangs on how much it is
// given: who sends little makes little work.
package packed
