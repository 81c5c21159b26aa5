// Package mqtt takes in what plain-MQTT sensors say. It is a [bridge.Source].
//
// Sensors publish to the broker that the gateway embeds (mochi-mqtt: MQTT 3.1.1
// and 5), or to a broker of the site, whose client the gateway is (paho: MQTT 5).
// Rules, tried in order, say which topics are readings of which device: the
// first rule whose topic matches takes the message. One message gives one batch
// for each device that it speaks of, acquired when it arrived.
//
// What a sensor sends with QoS 1 or 2 is acknowledged only when it is safe: on disk or
// acknowledged by the cloud. Waiting for that is never done where messages are
// read; acknowledgements are kept in order for each client, and bounded.
//
// A message that can't be read hurts nothing else: it is counted by rule and
// reason, logged once, and acknowledged, since sending it again would not help.
package mqtt
