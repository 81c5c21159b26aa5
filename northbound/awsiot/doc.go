// Package awsiot is the way to AWS IoT Core: a [bridge.Sink] that keeps one
// MQTT 5 session over mutual TLS.
//
// What it guarantees:
//
//   - a message counts as delivered only when the cloud has acknowledged it
//     (PUBACK reason below 0x80); every message handed to a connection gets
//     exactly one outcome;
//   - the session is clean (clean start, session expiry 0): nothing is kept or
//     sent again by the MQTT library, the queue does that;
//   - the limits of AWS IoT Core (message and packet size, topics, messages in
//     flight, CONNECTs per second) are kept on our side, before AWS has to.
//
// What it refuses: certificates that it cannot check. There is no switch to
// turn the verification of the server off.
//
// Numbers of AWS are from "AWS IoT Core endpoints and quotas" and from the
// developer guide's pages on MQTT and on transport security.
package awsiot
