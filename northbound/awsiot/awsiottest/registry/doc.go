// Package registry is what AWS IoT Core keeps of an account's identities: things
// with their types and groups, certificates with their states, policies, and who
// is attached to whom. It says what a certificate's holder may do; who it is that
// asks, and how, is not its affair.
//
// A Registry is safe for concurrent use. What it returns is a copy.
package registry
