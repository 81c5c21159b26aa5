package awsiottest

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// connect311 connects a client of MQTT 3.1.1 with the certificate of an identity.
func connect311(t *testing.T, c *Cloud, id Identity, client string) (paho3.Client, error) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(id.Certificate, id.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	o := paho3.NewClientOptions().AddBroker("ssl://" + c.Addr()).SetClientID(client).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(30 * time.Second).
		SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	cl := paho3.NewClient(o)
	token := cl.Connect()
	if !token.WaitTimeout(30 * time.Second) {
		t.Fatal("no CONNACK")
	}
	t.Cleanup(func() { cl.Disconnect(0) })
	return cl, token.Error()
}

// With a certificate that only the CA knows one may look, by MQTT 3.1.1, too, and
// publish nothing; another CA's is refused, and all of it where nobody may watch.
func TestWatchers(t *testing.T) {
	c, err := Start(Options{Dir: t.TempDir(), Watchers: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	someone, err := c.Authority().Issue("someone", Terms{})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := connect311(t, c, someone, "looks")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 10)
	token := watcher.Subscribe("#", 1, func(_ paho3.Client, m paho3.Message) {
		heard <- fmt.Sprintf("%s %s", m.Topic(), m.Payload())
	})
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	if err := c.Publish("plant/g", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-heard:
		if got != "plant/g hello" {
			t.Errorf("heard %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("heard nothing")
	}
	published := c.Counts().Published
	watcher.Publish("plant/g", 1, false, "forged").WaitTimeout(30 * time.Second)
	if watcher.IsConnectionOpen() || c.Counts().Published != published {
		t.Error("a watcher publishes")
	}
	stranger, err := NewAuthority(t.TempDir(), "other")
	if err != nil {
		t.Fatal(err)
	}
	id, err := stranger.Issue("someone", Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect311(t, c, id, "looks"); err == nil {
		t.Error("a certificate of another CA is taken")
	}
	strict, err := Start(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = strict.Close() }()
	device, err := strict.Device("g")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect311(t, strict, device, "g"); err == nil {
		t.Error("MQTT 3.1.1 is taken where nobody may watch")
	}
}
