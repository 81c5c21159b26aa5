// Package identity looks after the gateway's certificate and key.
//
// [Check] makes one connection to the cloud as the gateway would, step by step
// in the order of RFC 5246, and tells what it saw: the files, name and TCP, the
// two hellos, the server's certificate and its chain, the request for ours, what
// we sent, Finished, the clock, and MQTT. A step is reported only as far as it
// was observed: by crypto/tls's callbacks, by a signer that notes what it signs,
// and by the records that are not encrypted.
//
// It uses the TLS configuration and the explanations of package awsiot, so that
// what passes here passes there. It publishes nothing and ends with a DISCONNECT.
// But a second client with one client id takes the session of the first over, so
// [Options.Hold] stops before CONNECT while the gateway runs.
package identity
