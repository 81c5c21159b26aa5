package needtest

import (
	"net"
	"strconv"
	"testing"
)

// TestPort: a port is given once at a time, is free, and none that Linux gives by itself.
func TestPort(t *testing.T) {
	taken := map[int]bool{}
	for range 200 {
		port := Port(t)
		if taken[port] || port >= 32768 {
			t.Errorf("port %d; given before: %t", port, taken[port])
		}
		taken[port] = true
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
