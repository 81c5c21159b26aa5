package mqtt

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

func TestSiteTLS(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("broker.example", time.Hour)
	clientCert, clientKey := a.Issue("gateway", time.Hour)
	b := rig.StartMosquitto(t, "allow_anonymous true", "cafile "+string(a.File), "certfile "+string(cert),
		"keyfile "+string(key), "require_certificate true")
	config := func(c *inlet.TLS) Config {
		return siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtts://" + b.Addr}, TLS: c},
			Sensor{Topic: "w/{device}/{point}"})
	}
	full := inlet.TLS{CA: a.File, Certificate: clientCert, PrivateKey: clientKey, ServerName: "broker.example"}
	r := newRecorder()
	s := start(t, config(&full), Options{Gateway: "g"}, r.emit)
	connected(t, s)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "1", "--insecure",
		"--cafile", string(a.File), "--cert", string(clientCert), "--key", string(clientKey))
	r.wait(t, 1)
	for _, c := range []struct {
		tls  *inlet.TLS
		want string
	}{
		{nil, "tls.server_name"},
		{&inlet.TLS{ServerName: "broker.example"}, "tls.ca"},
		{&inlet.TLS{CA: a.File}, "tls.server_name"},
		{&inlet.TLS{CA: a.File, ServerName: "broker.example"}, "tls.certificate"},
		{&inlet.TLS{CA: "missing"}, "missing"},
		{&inlet.TLS{CA: key}, "no PEM certificate"},
	} {
		if err := s.Apply(config(c.tls)); err != nil {
			t.Fatal(err)
		}
		text := ""
		rig.Until(t, "the explanation with "+c.want, func() bool {
			if h := s.Health(); len(h) == 1 {
				text = h[0].Text
			}
			return strings.Contains(text, c.want)
		})
	}
}

func TestExpiredSiteCertificate(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("localhost", -time.Hour)
	b := rig.StartMosquitto(t, "allow_anonymous true", "certfile "+string(cert), "keyfile "+string(key))
	_, port, _ := net.SplitHostPort(b.Addr)
	s := start(t, siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtts://localhost:" + port}, TLS: &inlet.TLS{CA: a.File}},
		Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
	rig.Until(t, "the explanation", func() bool {
		h := s.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, "renew the broker's certificate")
	})
}

// TestCaseS09: a certificate without any name of a host is told as that, with its
// fingerprint, and trusted by it.
func TestCaseS09(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("", time.Hour)
	b := rig.StartMosquitto(t, "allow_anonymous true", "certfile "+string(cert), "keyfile "+string(key))
	_, port, _ := net.SplitHostPort(b.Addr)
	config := func(c inlet.TLS) Config {
		return siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtts://localhost:" + port}, TLS: &c},
			Sensor{Topic: "w/{device}/{point}"})
	}
	text, err := cert.Read()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	shown, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	right := setting.NewFingerprint(shown)
	s := start(t, config(inlet.TLS{CA: a.File}), Options{Gateway: "g"}, newRecorder().emit)
	for _, c := range []struct {
		tls  inlet.TLS
		want []string
	}{
		{inlet.TLS{CA: a.File}, []string{"names no host at all", "tls.fingerprint: \"" + string(right)}},
		{inlet.TLS{}, []string{"tls.fingerprint: \"" + string(right)}},
		{inlet.TLS{Fingerprint: setting.Fingerprint(strings.Repeat("00", 32))},
			[]string{"another one", string(right), "into tls.fingerprint"}},
	} {
		if err := s.Apply(config(c.tls)); err != nil {
			t.Fatal(err)
		}
		rig.Until(t, "the explanation", func() bool {
			h := s.Health()
			for _, w := range c.want {
				if len(h) != 1 || !strings.Contains(h[0].Text, w) || strings.Contains(h[0].Text, "server_name") {
					return false
				}
			}
			return true
		})
	}
	if err := s.Apply(config(inlet.TLS{Fingerprint: right})); err != nil {
		t.Fatal(err)
	}
	connected(t, s)
}
