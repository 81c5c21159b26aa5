package uplink

import (
	"errors"
	"io"
	"strings"
	"testing"

	"fieldbridge/setting"
)

func TestRootsForACheck(t *testing.T) {
	var names []string
	for _, r := range AmazonRoots() {
		names = append(names, r.Subject.CommonName)
	}
	want := "Amazon Root CA 1, Amazon Root CA 2, Amazon Root CA 3, Amazon Root CA 4, Starfield Services Root " +
		"Certificate Authority - G2"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %s", got)
	}
}

func TestExplainAt(t *testing.T) {
	cfg := &Config{Endpoint: "cloud:8883"}
	for _, tt := range []struct {
		at        Stage
		err       error
		text, fix string
	}{
		{AtHandshake, io.EOF, "cloud:8883 closed the connection in the TLS handshake",
			"is this an AWS data endpoint, and server_name right?"},
		{AtConnect, io.EOF, "cloud:8883 closed the connection without a CONNACK",
			"the certificate is not registered in this account and region, or not active"},
		{AtConnect, Refused(0x85, ""), "cloud:8883 refuses our client id (0x85)", "correct northbound.awsiot.client_id"},
		{AtConnect, Refused(0x80, "no: why"), "cloud:8883 refuses the CONNECT (0x80 no: why)", ""},
		{AtConnect, Disconnected(0x8B, ""), "cloud:8883 is shutting down this server (0x8B)", "connecting to another"},
		{AtHandshake, errors.New("tls: odd"), "connecting to cloud:8883: tls: odd", ""},
		{AtFiles, &setting.FileError{Key: "ca", Path: "ca.pem", Err: setting.ErrNoCertificate},
			"ca ca.pem: there is no PEM certificate in it", "give a file with -----BEGIN lines (convert DER with openssl)"},
	} {
		text, fix := ExplainAt(cfg, tt.at, nil, tt.err)
		if text != tt.text || fix != tt.fix {
			t.Errorf("%v: got %q, %q", tt.err, text, fix)
		}
	}
}
