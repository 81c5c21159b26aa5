package needtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// given are the ports that this process was given.
var given sync.Map

// Port returns a port of TCP and UDP on 127.0.0.1 for a program that is told where to
// listen. It is none of those that systems give to who asks for any, from 32768 on:
// such a one is free now and another's connection before the program has begun.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if free(port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// free tells whether nobody listens at a port.
func free(port int) bool {
	at := fmt.Sprintf("127.0.0.1:%d", port)
	stream, err := net.Listen("tcp", at)
	if err != nil {
		return false
	}
	defer func() { _ = stream.Close() }()
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		return false
	}
	return packets.Close() == nil
}
