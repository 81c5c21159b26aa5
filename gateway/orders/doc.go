// Package orders is what a gateway does when a job of the cloud asks for it: a new
// configuration, a new identity, a restart, and a file for who looks for a fault. Each
// is a [jobs.Operation] and knows how far it was when the gateway was cut.
//
// What changes what a gateway runs must be signed; none can turn the switch on the
// machine, or whom the gateway trusts.
package orders
