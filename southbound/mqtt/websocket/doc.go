// Package websocket carries MQTT over WebSocket (MQTT 5, section 6; RFC 6455), for
// the embedded broker and for site brokers. What it returns is a connection as any
// other: packets of MQTT may be cut into messages of WebSocket in any way.
package websocket
