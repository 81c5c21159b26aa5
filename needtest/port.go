package needtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Port returns a port of TCP and UDP for a program that is told where to listen. It is
// the test's alone until its end, also while nothing listens there because a process was
// killed and is started again. It is none of those that systems give to who asks for any,
// from 32768 on: such a one is free now and another's before the program has begun, and
// peers that come back to it speak to a stranger.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		// A name in Linux's abstract space ends with its process, and is seen by those
		// who share the network, as the port is.
		mine, err := net.Listen("unix", fmt.Sprintf("@fieldbridge-test-port-%d", port))
		if err != nil {
			continue
		}
		if free(port) {
			t.Cleanup(func() { _ = mine.Close() })
			return port
		}
		_ = mine.Close()
	}
	t.Fatal("no port is free")
	return 0
}

// Address returns one of this machine alone with such a port.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Port(t))
}

// free tells whether nobody listens at a port.
func free(port int) bool {
	at := fmt.Sprintf(":%d", port)
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
