package uplink

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestPortAway(t *testing.T) {
	dial := func(err error) error {
		return &connectError{stage: AtDial, err: &net.OpError{Op: "dial", Err: err}}
	}
	for name, tt := range map[string]struct {
		err       error
		away, own bool
	}{
		"refused":            {dial(syscall.ECONNREFUSED), true, false},
		"timeout":            {dial(context.DeadlineExceeded), true, false},
		"no route":           {dial(syscall.ENETUNREACH), true, true},
		"no link":            {dial(syscall.ENETDOWN), true, true},
		"no name server":     {dial(&net.DNSError{IsTimeout: true}), true, true},
		"names fail":         {dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), true, false},
		"proxy refuses us":   {dial(&proxyError{reason: "407"}), false, false},
		"proxy finds nobody": {dial(&proxyError{reason: "502", away: true}), true, false},
		"handshake":          {&connectError{stage: AtHandshake, err: syscall.ECONNRESET}, false, false},
		"CONNACK":            {&connectError{stage: AtConnect, err: &connackError{code: 0x87}}, false, false},
		"other":              {errors.New("x"), false, false},
	} {
		if away, own := portAway(tt.err); away != tt.away || own != tt.own {
			t.Errorf("%s: away %v, own %v", name, away, own)
		}
	}
}
