// Package broker is the MQTT broker that the gateway embeds, for sensors that
// have none: mochi-mqtt for connections, sessions, subscriptions and retained
// messages, and around it what a gateway needs that mochi does not have.
//
//   - A QoS 1 or 2 message is acknowledged when it is safe, in the order in which
//     messages came, not when it has been read.
//   - A client that does not read what it subscribed to stops nobody.
//   - Users, topics of users, and bounds for all that clients may leave behind.
//   - A short way past mochi for simple messages on topics that it has let
//     through before: two to three times the messages per second.
//
// It is the only room that knows mochi. What it assumes of mochi's insides is
// stated and tested in assumptions_test.go.
//
// Its locks, in the order in which they may be taken: mochi's of a client, under
// which it calls Write; a connection's mu; then repeats.mu, flusher.mu or mochi's
// of the messages in flight, or Broker.refusing. Broker.mu, a port's mu and that of
// the list of trouble are taken alone. Under none
// of them is a file read, a line logged, a callback called or the network waited
// for: the flusher's write does not wait, nor does the closing of a connection.
// Who waits for the disk is the client whose password is read, and at most one
// handshake that looks at the certificate.
package broker
