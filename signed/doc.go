// Package signed is how a gateway knows that an order from afar is of those who may
// give it, and is meant for it and for now: an envelope that the cloud carries and
// does not understand. Whoever may create jobs in an AWS account cannot make one.
//
//	{"fieldbridge":1, "payload":"<base64>", "signatures":[{"key":"<number>","sig":"<base64>"}], "keys":{...}}
//
// The payload is JSON ([Order]); signatures are Ed25519 (RFC 8032) over its exact
// bytes, by keys of minisign: 'minisign -S -l' makes the same. What stands beside
// these four names in a document is not signed, and for others to judge.
//
// Root keys sign lists of signing keys ([List]) that travel in the envelope, as
// "keys", so that a signing key is replaced without touching a gateway. Each list has
// a serial, too: once a gateway has seen a newer one, an older one is refused.
//
// A [Guard] keeps the serials on disk before an order is given out. It refuses what
// it has seen, what is meant for another gateway and, if the clock is known to be
// right, what is too early or too late.
package signed
