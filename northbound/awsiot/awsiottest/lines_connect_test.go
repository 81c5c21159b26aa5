package awsiottest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// The tests are named after the lines of the checklist of what AWS does, in the
// team's fact sheet.

func TestLine01TLSVersions(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true,
		tls.VersionTLS13: true} {
		conn, err := tlsDial(t, c, &id, func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = version, version })
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		conn.NetConn().Close()
	}
}

func TestLine02ALPN(t *testing.T) {
	c := start(t, func(o *Options) { o.ALPN = true })
	id := device(t, c, "gateway-1")
	for protocol, want := range map[string]bool{"x-amzn-mqtt-ca": true, "": false, "mqtt": false} {
		conn, err := tlsDial(t, c, &id, func(cfg *tls.Config) {
			if protocol != "" {
				cfg.NextProtos = []string{protocol}
			}
		})
		if err == nil {
			err = speaks(conn)
		}
		if (err == nil) != want {
			t.Errorf("ALPN %q: %v", protocol, err)
		}
		conn.NetConn().Close()
	}
}

// speaks reports why a CONNECT gets no CONNACK.
func speaks(conn *tls.Conn) error {
	cp := packets.NewControlPacket(packets.CONNECT)
	c := cp.Content.(*packets.Connect)
	c.ClientID, c.CleanStart = "gateway-1", true
	if _, err := cp.WriteTo(conn); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := packets.ReadPacket(conn)
	return err
}

func TestLine03ServerNames(t *testing.T) {
	c := start(t, func(o *Options) { o.StrictSNI = true })
	id := device(t, c, "gateway-1")
	for name, want := range map[string]bool{"localhost": true, "other.example": false, "": false} {
		conn, err := tlsDial(t, c, &id, func(cfg *tls.Config) { cfg.ServerName, cfg.InsecureSkipVerify = name, true })
		if (err == nil) != want {
			t.Errorf("SNI %q: %v", name, err)
		}
		conn.NetConn().Close()
	}
}

func TestLine04NoClientCertificate(t *testing.T) {
	c := start(t, nil)
	conn, err := tlsDial(t, c, nil, nil)
	if err == nil {
		err = speaks(conn)
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	conn.NetConn().Close()
}

func TestLine05InactiveCertificates(t *testing.T) {
	for _, inHandshake := range []bool{false, true} {
		c := start(t, func(o *Options) { o.RefuseInHandshake = inHandshake })
		id := device(t, c, "gateway-1")
		for _, status := range []registry.Status{"", registry.Inactive, registry.Revoked, registry.PendingActivation} {
			c.SetStatus(id.ID, status)
			conn, err := tlsDial(t, c, &id, nil)
			if err == nil {
				err = speaks(conn)
			}
			alert := err != nil && strings.Contains(err.Error(), "tls: bad certificate")
			if err == nil || alert != inHandshake {
				t.Errorf("%q, in the handshake %v: %v", status, inHandshake, err)
			}
			conn.NetConn().Close()
		}
	}
}

func TestLine07ConnectDenied(t *testing.T) {
	c, watcher := up(t, nil)
	watcher.subscribe(1, "$aws/events/presence/connect_failed/+")
	id := device(t, c, "gateway-2")
	c.SetPolicy(id.ID, rules.Policy{{Actions: []string{"iot:Publish"}, Resources: []string{"*"}}})
	if ack := dial(t, c, id).connect("gateway-2", nil); ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("CONNACK %v", ack)
	}
	if e := decode(t, watcher.message()); e["clientId"] != "gateway-2" ||
		e["connectFailureReason"] != "AUTHORIZATION_FAILED" {
		t.Errorf("event %v", e)
	}
	// A last will that may not be published is refused the same way.
	c.SetPolicy(id.ID, append(rules.Policy{{Deny: true, Actions: []string{"iot:Publish"},
		Resources: []string{"topic/will"}}}, rules.DefaultPolicy...))
	ack := dial(t, c, id).connect("gateway-2", func(p *packets.Connect) {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillProperties = true, "will", []byte("x"), &packets.Properties{}
	})
	if ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("CONNACK for a denied will %v", ack)
	}
}

var anyClient = rules.Policy{{Actions: []string{"iot:*"}, Resources: []string{"*"}}}

func TestLine08ClientIDs(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	c.SetPolicy(id.ID, anyClient)
	for client, want := range map[string]byte{strings.Repeat("x", 128): 0, strings.Repeat("x", 129): 0x85, "$x": 0x85,
		"a b/ü": 0} {
		if ack := dial(t, c, id).connect(client, nil); ack == nil || ack.ReasonCode != want {
			t.Errorf("client id of %d bytes: %v, want 0x%02X", len(client), ack, want)
		}
	}
}

func TestLine09EmptyClientID(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	c.SetPolicy(id.ID, anyClient)
	ack := dial(t, c, id).connect("", nil)
	if ack == nil || ack.ReasonCode != 0 || !strings.HasPrefix(ack.Properties.AssignedClientID, "$GEN/") {
		t.Fatalf("CONNACK %v", ack)
	}
	if again := dial(t, c, id).connect(ack.Properties.AssignedClientID, nil); again == nil || again.ReasonCode != 0x85 {
		t.Errorf("the assigned id: %v", again)
	}
}

func TestLine10Takeover(t *testing.T) {
	c, watcher := up(t, nil)
	watcher.subscribe(1, "will", "$aws/events/presence/disconnected/gateway-2")
	id := device(t, c, "gateway-2")
	first := dial(t, c, id)
	first.connect("gateway-2", withWill)
	second := dial(t, c, id)
	if ack := second.connect("gateway-2", nil); ack == nil || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %v", ack)
	}
	if code := first.disconnected(); code != 0x8E {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
	var will, event bool
	for range 2 {
		switch m := watcher.message(); m.Topic {
		case "will":
			will = true
		default:
			event = decode(t, m)["disconnectReason"] == "DUPLICATE_CLIENTID"
		}
	}
	if !will || !event {
		t.Errorf("will %v, event %v", will, event)
	}
	second.alive()
}

func withWill(p *packets.Connect) {
	p.WillFlag, p.WillTopic, p.WillMessage, p.WillQOS, p.WillProperties = true, "will", []byte("gone"), 1,
		&packets.Properties{}
}

func TestLine11ConnectsPerSecond(t *testing.T) {
	inBubble(t, func(o *Options) { o.Throttle = ThrottleDrop }, func(t *testing.T, c *Cloud) {
		id := device(t, c, "gateway-1")
		for _, tt := range []struct {
			wait time.Duration
			want byte
		}{{0, 0}, {900 * time.Millisecond, 0x97}, {1100 * time.Millisecond, 0}} {
			time.Sleep(tt.wait)
			if ack := dial(t, c, id).connect("gateway-1", nil); ack == nil || ack.ReasonCode != tt.want {
				t.Errorf("after %v: %v, want 0x%02X", tt.wait, ack, tt.want)
			}
		}
	})
}

func TestLine12EarlyPackets(t *testing.T) {
	c := start(t, nil)
	r := dial(t, c, device(t, c, "gateway-1"))
	var both bytes.Buffer
	cp := packets.NewControlPacket(packets.CONNECT)
	cp.Content.(*packets.Connect).ClientID = "gateway-1"
	_, _ = cp.WriteTo(&both)
	_, _ = packets.NewControlPacket(packets.PINGREQ).WriteTo(&both)
	_, _ = r.conn.Write(both.Bytes())
	if p := r.next(); p != nil {
		t.Errorf("got %v, want the connection closed", p)
	}
}

func TestLine13Connack(t *testing.T) {
	c := start(t, nil)
	p := dial(t, c, device(t, c, "gateway-1")).connect("gateway-1", nil).Properties
	if *p.ReceiveMaximum != 100 || *p.MaximumPacketSize != 149504 || *p.TopicAliasMaximum != 8 || *p.MaximumQOS != 1 ||
		*p.SubIDAvailable != 0 || *p.RetainAvailable != 1 || *p.WildcardSubAvailable != 1 || *p.SharedSubAvailable != 1 {
		t.Errorf("CONNACK %s", p)
	}
}

func TestLine14KeepAlive(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	for asked, want := range map[uint16]uint16{10: 30, 0: 1200, 65535: 1200, 60: 0, 1000: 0} {
		ack := dial(t, c, id).connect("gateway-1", func(p *packets.Connect) { p.KeepAlive = asked })
		got := uint16(0)
		if k := ack.Properties.ServerKeepAlive; k != nil {
			got = *k
		}
		if got != want {
			t.Errorf("keep-alive %d: Server Keep Alive %d, want %d", asked, got, want)
		}
	}
}

func expires(seconds uint32, clean bool) func(*packets.Connect) {
	return func(p *packets.Connect) { p.CleanStart, p.Properties.SessionExpiryInterval = clean, &seconds }
}

func TestLine15SessionExpiry(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	for asked, want := range map[uint32]uint32{600000: 3600, 4294967295: 3600, 600: 0} {
		ack := dial(t, c, id).connect("gateway-1", expires(asked, true))
		got := uint32(0)
		if e := ack.Properties.SessionExpiryInterval; e != nil {
			got = *e
		}
		if got != want {
			t.Errorf("expiry %d: CONNACK says %d, want %d", asked, got, want)
		}
	}
}

func TestLine16Sessions(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *Cloud) {
		id, sender := device(t, c, "gateway-1"), join(t, c, "gateway-2")
		first := dial(t, c, id)
		first.connect("gateway-1", expires(60, true))
		first.subscribe(1, "t")
		c.Drop("gateway-1")
		first.next()
		time.Sleep(30 * time.Second)
		second := dial(t, c, id)
		if ack := second.connect("gateway-1", expires(60, false)); !ack.SessionPresent {
			t.Error("the session is gone before its time")
		}
		sender.publish("t", 1, []byte("x"), nil)
		if m := second.message(); m.Topic != "t" {
			t.Errorf("got %v", m)
		}
		c.Drop("gateway-1")
		time.Sleep(70 * time.Second)
		if ack := dial(t, c, id).connect("gateway-1", expires(60, false)); ack.SessionPresent {
			t.Error("the session outlives its expiry")
		}
	})
}

func TestLine17OfflineQueue(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *Cloud) {
		id, sender := device(t, c, "gateway-1"), join(t, c, "gateway-2")
		first := dial(t, c, id)
		first.connect("gateway-1", expires(600, true))
		first.subscribe(1, "t")
		c.Drop("gateway-1")
		first.next()
		for i := range 20 {
			sender.publish("t", 1, fmt.Append(nil, i), nil)
			sender.puback()
			sender.publish("t", 0, []byte("lost"), nil)
		}
		second := dial(t, c, id)
		second.connect("gateway-1", expires(600, false))
		begin := time.Now()
		for range 20 {
			if m := second.message(); string(m.Payload) == "lost" {
				t.Error("a QoS 0 message was kept")
			}
		}
		if took := time.Since(begin); took < 1800*time.Millisecond {
			t.Errorf("20 messages replayed in %v: more than 10 per second", took)
		}
		second.quiet(time.Second)
	})
}

func TestLine18DisconnectCannotRaiseExpiry(t *testing.T) {
	_, r := up(t, nil)
	cp := packets.NewControlPacket(packets.DISCONNECT)
	seconds := uint32(100)
	cp.Content.(*packets.Disconnect).Properties.SessionExpiryInterval = &seconds
	r.write(cp)
	if code := r.disconnected(); code != 0x82 {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
}

func TestLine19Silence(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *Cloud) {
		watcher := dial(t, c, device(t, c, "gateway-2"))
		watcher.connect("gateway-2", func(p *packets.Connect) { p.KeepAlive = 1200 })
		watcher.subscribe(1, "will")
		r := dial(t, c, device(t, c, "gateway-1"))
		r.connect("gateway-1", func(p *packets.Connect) { withWill(p); p.KeepAlive = 40 })
		begin := time.Now()
		time.Sleep(59 * time.Second)
		r.alive()
		time.Sleep(61 * time.Second)
		if code := r.disconnected(); code != 0x8D || time.Since(begin) < 119*time.Second {
			t.Errorf("DISCONNECT 0x%02X after %v", code, time.Since(begin))
		}
		if m := watcher.message(); m.Topic != "will" {
			t.Errorf("got %v", m)
		}
	})
}

func TestLine20Wills(t *testing.T) {
	c, watcher := up(t, nil)
	watcher.subscribe(1, "will")
	id := device(t, c, "gateway-2")
	clean := dial(t, c, id)
	clean.connect("gateway-2", withWill)
	clean.write(packets.NewControlPacket(packets.DISCONNECT))
	if p := clean.next(); p != nil {
		t.Errorf("got %v", p)
	}
	watcher.quiet(100 * time.Millisecond)
	broken := dial(t, c, id)
	broken.connect("gateway-2", withWill)
	c.Drop("gateway-2")
	if m := watcher.message(); string(m.Payload) != "gone" {
		t.Errorf("got %v", m)
	}
}

func TestLine48PresenceEvents(t *testing.T) {
	c, watcher := up(t, nil)
	watcher.subscribe(1, "$aws/events/presence/+/gateway-2", "$aws/events/subscriptions/subscribed/gateway-2")
	id := device(t, c, "gateway-2")
	var sessions []any
	for n, end := range map[int]string{0: "CLIENT_INITIATED_DISCONNECT", 1: "CONNECTION_LOST", 2: "CLIENT_ERROR"} {
		r := dial(t, c, id)
		r.connect("gateway-2", nil)
		connected := decode(t, watcher.message())
		r.subscribe(1, "x")
		if e := decode(t, watcher.message()); fmt.Sprint(e["topics"]) != "[x]" || e["eventType"] != "subscribed" {
			t.Errorf("event %v", e)
		}
		switch n {
		case 0:
			r.write(packets.NewControlPacket(packets.DISCONNECT))
		case 1:
			c.Drop("gateway-2")
		case 2:
			r.publish("t", 2, nil, nil)
		}
		gone := decode(t, watcher.message())
		sessions = append(sessions, connected["sessionIdentifier"])
		if connected["eventType"] != "connected" || connected["principalIdentifier"] != id.ID ||
			connected["ipAddress"] != "127.0.0.1" {
			t.Errorf("event %v", connected)
		}
		if gone["eventType"] != "disconnected" || gone["disconnectReason"] != end ||
			gone["clientInitiatedDisconnect"] != (n == 0) ||
			gone["versionNumber"] != connected["versionNumber"] || gone["sessionIdentifier"] != connected["sessionIdentifier"] {
			t.Errorf("event %v after %v", gone, connected)
		}
	}
	if sessions[0] == sessions[1] || sessions[1] == sessions[2] {
		t.Error("sessions share an identifier")
	}
}

func TestLine49EndsByTheServer(t *testing.T) {
	c, r := up(t, nil)
	c.Disconnect("gateway-1", 0x8B)
	if code := r.disconnected(); code != 0x8B {
		t.Errorf("DISCONNECT 0x%02X", code)
	}
	r = join(t, c, "gateway-1")
	c.Drop("gateway-1")
	if p := r.next(); p != nil {
		t.Errorf("got %v", p)
	}
	id := device(t, c, "gateway-1")
	cache := tls.NewLRUClientSessionCache(10)
	for range 2 {
		conn, err := tlsDial(t, c, &id, func(cfg *tls.Config) { cfg.ClientSessionCache = cache })
		if err != nil {
			t.Fatal(err)
		}
		if err := speaks(conn); err != nil {
			t.Error(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a TLS session was resumed")
		}
		conn.NetConn().Close()
	}
}

func TestLine50PoliciesLag(t *testing.T) {
	inBubble(t, func(o *Options) { o.PolicyDelay = 3 * time.Minute }, func(t *testing.T, c *Cloud) {
		r := dial(t, c, device(t, c, "gateway-1"))
		r.connect("gateway-1", func(p *packets.Connect) { p.KeepAlive = 1200 })
		c.SetPolicy(device(t, c, "gateway-1").ID, limited)
		for _, want := range []byte{0, 0x87} {
			r.publish("closed", 1, nil, nil)
			if code := r.puback(); code != want {
				t.Errorf("0x%02X, want 0x%02X", code, want)
			}
			time.Sleep(3*time.Minute + time.Second)
		}
	})
}
