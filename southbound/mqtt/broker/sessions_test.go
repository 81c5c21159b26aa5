package broker

import (
	"bytes"
	"testing"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/topic"
)

// login connects as a user, with a session that stays, and returns whether one
// was present.
func login(t *testing.T, addr string, version byte, id, user, password string) (c *rig.Client, present bool) {
	t.Helper()
	c = rig.Open(t, addr, version)
	b := append(rig.String("MQTT"), version, 0xc0, 0, 60)
	if version == 5 {
		b = append(b, 5, 0x11, 0, 0, 1, 0)
	}
	b = append(append(b, rig.String(id)...), rig.String(user)...)
	c.Write(0x10, append(b, rig.String(password)...))
	kind, body := c.Read()
	if kind != 0x20 || body[1] != 0 {
		t.Fatalf("%s: got %#x %x, want CONNACK", user, kind, body)
	}
	return c, body[0] == 1
}

func (c *watched) subscribe(filter string) {
	b := []byte{0, 1}
	if c.Version == 5 {
		b = append(b, 0)
	}
	c.Write(0x82, append(append(b, rig.String(filter)...), 1))
	c.Read()
}

type watched struct{ *rig.Client }

// TestSessionsOfUsers: a session is its user's, whoever gives the same client id.
func TestSessionsOfUsers(t *testing.T) {
	for _, version := range []byte{4, 5} {
		r := newRecorder()
		s := start(t, usersConfig(t), r.ingest)
		addr := address(t, s)
		owner, _ := login(t, addr, version, "same", "all", "pass")
		(&watched{owner}).subscribe("secret/#")
		// While the owner is there: it is not thrown out.
		other, present := login(t, addr, version, "same", "hall", "s3cret")
		if present {
			t.Errorf("version %d: a session of another user is present", version)
		}
		owner.Silent()
		_ = owner.Conn.Close()
		rig.Until(t, "the owner is gone", func() bool { return s.Counts().Clients == 1 })
		publisher, _ := login(t, addr, version, "publisher", "all", "pass")
		publisher.Publish(2, 7, "secret/plan", "topsecret")
		publisher.Expect(puback, 7)
		// While it is away: what waits is not given to the other.
		_ = other.Conn.Close()
		other, _ = login(t, addr, version, "same", "hall", "s3cret")
		other.Silent()
		owner, present = login(t, addr, version, "same", "all", "pass")
		if !present {
			t.Errorf("version %d: the owner's session is gone", version)
		}
		if kind, body := owner.Read(); kind&0xf0 != publish || !bytes.Contains(body, []byte("topsecret")) {
			t.Errorf("version %d: the owner got %#x %x, want what waited", version, kind, body)
		}
		other.Silent()
	}
}

// TestResentMessagesAskTheACL: what waits for a session is not sent to a user who
// may not read it any more.
func TestResentMessagesAskTheACL(t *testing.T) {
	for _, version := range []byte{4, 5} {
		r := newRecorder()
		s := start(t, usersConfig(t), r.ingest)
		addr := address(t, s)
		c, _ := login(t, addr, version, "c", "all", "pass")
		(&watched{c}).subscribe("#")
		_ = c.Conn.Close()
		publisher, _ := login(t, addr, version, "publisher", "all", "pass")
		rig.Until(t, "the owner is gone", func() bool { return s.Counts().Clients == 1 })
		publisher.Publish(2, 7, "secret/plan", "topsecret")
		publisher.Expect(puback, 7)
		publisher.Publish(2, 8, "open/plan", "known")
		publisher.Expect(puback, 8)
		_ = publisher.Conn.Close()
		rig.Until(t, "nobody is there", func() bool { return s.Counts().Clients == 0 })
		open, err := topic.Parse("open/#")
		if err != nil {
			t.Fatal(err)
		}
		s.access.topics["all"] = []topic.Filter{open}
		c, _ = login(t, addr, version, "c", "all", "pass")
		if kind, body := c.Read(); kind&0xf0 != publish || !bytes.Contains(body, []byte("known")) {
			t.Errorf("version %d: got %#x %x, want what it may read", version, kind, body)
		}
		c.Silent()
	}
}

// TestSessionsWithoutUsers: where nobody asks for names, a client may change its own.
func TestSessionsWithoutUsers(t *testing.T) {
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}}, newRecorder().ingest)
	addr := address(t, s)
	c, _ := login(t, addr, 5, "c", "one", "x")
	_ = c.Conn.Close()
	rig.Until(t, "it is gone", func() bool { return s.Counts().Clients == 0 })
	if _, present := login(t, addr, 5, "c", "two", "y"); !present {
		t.Error("its session is gone")
	}
}
