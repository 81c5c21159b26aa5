// Package awsiot is the way to AWS IoT Core: a [bridge.Sink] that keeps one
// session after another, and tells on the status topic what is not a reading.
//
// A message counts as delivered only when the cloud has acknowledged it (PUBACK
// reason below 0x80). The limits of AWS IoT Core (message and packet size, topics,
// messages in flight, CONNECTs per second) are kept on our side, before AWS has to.
//
// Its rooms: payload (batches to messages, pure), uplink (one session), remote
// (what the cloud may ask), identity (a connection step by step, for people),
// awsiottest (a stand-in for the cloud).
package awsiot
