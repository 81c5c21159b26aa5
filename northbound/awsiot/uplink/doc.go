// Package uplink is one MQTT 5 session with AWS IoT Core over mutual TLS: how a
// port is reached, by which files and which way, what goes over it, when to try
// again, and in one sentence why it failed.
//
// An [Attempt] makes a [Session]; a [Schedule] says when to make the next one.
// Each connection is the winner of a race of IPv6 and IPv4 over a [Network];
// there is no other way to dial.
//
// A session is clean (clean start, session expiry 0): nothing is kept or sent
// again by the MQTT library. Every message handed to it gets exactly one outcome.
//
// What it refuses: certificates that it cannot check. There is no switch to turn
// the verification of the server off.
//
// Numbers of AWS are from "AWS IoT Core endpoints and quotas" and from the
// developer guide's pages on MQTT and on transport security.
package uplink
