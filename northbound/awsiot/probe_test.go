package awsiot

import (
	"io"
	"strings"
	"testing"
)

func TestRootsForACheck(t *testing.T) {
	var names []string
	for _, r := range AmazonRoots() {
		names = append(names, r.Subject.CommonName)
	}
	want := "Amazon Root CA 1, Amazon Root CA 2, Amazon Root CA 3, Amazon Root CA 4, Starfield Services Root Certificate Authority - G2"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %s", got)
	}
}

func TestExplainAt(t *testing.T) {
	cfg := &Config{Endpoint: "cloud:8883"}
	for _, tt := range []struct {
		at   Stage
		err  error
		want string
	}{
		{AtHandshake, io.EOF, "in the TLS handshake"},
		{AtConnect, io.EOF, "without a CONNACK"},
		{AtConnect, Refused(0x87, ""), "0x87"},
		{AtConnect, Disconnected(0x8E, ""), "0x8E"},
	} {
		if got := ExplainAt(cfg, tt.at, nil, tt.err); !strings.Contains(got, tt.want) || !strings.Contains(got, "cloud:8883") {
			t.Errorf("%v: got %q, want %q in it", tt.err, got, tt.want)
		}
	}
}
