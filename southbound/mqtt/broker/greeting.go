package broker

import (
	"bytes"
	"errors"
	"net"
	"strings"
)

// greetingBytes is how much of what a client says first is remembered: enough to
// tell what it speaks.
const greetingBytes = 8

// greetings are how what is not MQTT begins, what that means for people, and what to
// do.
var greetings = []struct{ begins, cause, advice string }{
	{"\x16\x03", "it begins TLS, and this port has none",
		"let it use the port of tls: listen, or turn TLS off at it"},
	{"\x10", "it speaks MQTT without TLS on a port of tls", "turn TLS on at it, or let it use a port of listen"},
	{"GET ", "it speaks HTTP or WebSocket, and this port is MQTT alone",
		"let it use an address of listen that begins with ws://, or a client of MQTT over TCP"},
	{"POST ", "it speaks HTTP, and this port is MQTT alone", "let it publish by MQTT"},
	{"HEAD ", "it speaks HTTP, and this port is MQTT alone", "let it publish by MQTT"},
	{"PUT ", "it speaks HTTP, and this port is MQTT alone", "let it publish by MQTT"},
	{"PROXY ", "it begins with the PROXY protocol of a load balancer", "turn that off at the load balancer"},
	{"\r\n\r\n\x00\r\nQ", "it begins with the PROXY protocol of a load balancer", "turn that off at the load balancer"},
	{"SSH-", "it speaks SSH", "see who looks for what on this port"},
}

// understood returns what the first bytes of a client that was not let in mean, and
// what to do; "" if they say nothing.
func understood(said []byte) (cause, advice string) {
	if !exact {
		return "", ""
	}
	for _, g := range greetings {
		if bytes.HasPrefix(said, []byte(g.begins)) {
			return g.cause, g.advice
		}
	}
	return "", ""
}

// distrusts reports whether err is how a handshake ends in which the client did not
// accept the broker's certificate. OpenSSL and Mbed TLS send their alert of TLS 1.3
// without encryption, which is bad for a server that expects it encrypted.
func distrusts(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" ||
		op.Op == "local error" && strings.HasSuffix(op.Err.Error(), "bad record MAC"))
}

// ofTLS reports whether err is of a handshake and not of the network.
func ofTLS(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op == "local error"
	}
	return strings.Contains(err.Error(), ": tls: ")
}
