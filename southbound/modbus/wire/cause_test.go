package wire

import (
	"errors"
	"net"
	"testing"
)

// TestCause: a name without an address is told in words, without the name server's
// address and what the resolver was at.
func TestCause(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "plc.invalid", Server: "10.0.0.1:53", IsNotFound: true}),
			"there is no host called plc.invalid"},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "plc", Server: "10.0.0.1:53", IsTimeout: true}),
			"no name server tells the address of plc"},
		{dial(errors.New("something else")), "something else"},
	} {
		if got := cause(tt.err); got.Error() != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
