// Package mqtt takes in what plain-MQTT sensors say. It is a [bridge.Source].
//
//	sensors ──▶ embedded broker (mochi-mqtt) ──hook──┐
//	            conn: acknowledgements, in order     ├─▶ router ─▶ rule ─▶ read ─▶ emit
//	site broker ──▶ site: client (paho, or old) ─────┘   topic     first   values    │
//	            siteSession: the same                    cache     match             │
//	                  ▲                                                              │
//	                  └----------------- PUBACK, PUBREC <---------------- safe <-----┘
//
// Sensors publish to the broker that the gateway embeds (MQTT 3.1.1 and 5), or
// to a broker of the site, whose client the gateway is (MQTT 5, or 3.1.1 if the
// broker knows nothing newer). Rules, tried in order, say which topics are
// readings of which device: the first rule whose topic matches takes the message.
// One message gives one batch, acquired when it arrived or when it says; lines of
// CSV, elements of each and Sparkplug B messages are several, of several times and
// devices.
//
// The embedded broker's messages take a short way where they can: a message on a
// topic that the broker has let through before on its connection, without
// anything special about it, is taken out of the stream before the broker sees
// it.
//
// What is sent with QoS 1 or 2 is acknowledged only when it is safe: on disk or
// acknowledged by the cloud. Nothing waits for that where messages are read: the
// acknowledgements are kept for each client in the order of its messages, and
// bounded. When the queue refuses a message, MQTT 5 clients of the embedded
// broker are told so (0x97), MQTT 3.1.1 clients are disconnected without an
// acknowledgement, and a site broker too, so that it keeps the message.
//
// A message that cannot be read hurts nothing else: it is counted by rule and
// reason, logged at most once a minute and rule, and acknowledged, since sending
// it again would not help. [Source.Seen] lists the topics on which messages
// came, the rule that took each and what was wrong, for people who write rules.
//
// The embedded broker keeps sessions in memory: they are gone after a restart of
// the gateway. Retained messages are saved when it ends, and now and then. Whatever clients can make grow is
// bounded: connections, sessions, subscriptions, retained messages, levels of
// topics, messages that wait for an acknowledgement or for a slow reader,
// devices of a rule, points of a device, topics that are remembered.
package mqtt
