package broker

import (
	"testing"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// B08: what is published with QoS 1 while a subscriber with a session is away is kept
// for it.
func TestCaseB08(t *testing.T) {
	s := start(t, plain, newRecorder().ingest)
	addr := address(t, s)
	for _, version := range []byte{4, 5} {
		sub := rig.Open(t, addr, version)
		connect := func(c *rig.Client, present byte) {
			c.Connect("panel", 0) // its session stays
			if kind, body := c.Read(); kind != 0x20 || body[0] != present || body[1] != 0 {
				t.Fatalf("version %d: CONNECT answered by %#x %x", version, kind, body)
			}
		}
		connect(sub, 0)
		subscribe := []byte{0, 1}
		if version == 5 {
			subscribe = append(subscribe, 0)
		}
		sub.Write(0x82, append(append(subscribe, rig.String("hall/#")...), 1))
		if kind, body := sub.Read(); kind != 0x90 || body[len(body)-1] != 1 {
			t.Fatalf("SUBSCRIBE answered by %#x %x", kind, body)
		}
		sub.Write(0xe0, nil)
		sub.Closed()

		sensor := rig.Dial(t, addr, 4, "sensor")
		sensor.Publish(2, 7, "hall/a", "21.5")
		sensor.Expect(0x40, 7)

		again := rig.Open(t, addr, version)
		connect(again, 1)
		kind, body := again.Read()
		want := append(rig.String("hall/a"), body[8], body[9]) // the broker's own id
		if version == 5 {
			want = append(want, 0)
		}
		if want = append(want, "21.5"...); kind&0xf6 != 0x32 || string(body) != string(want) {
			t.Errorf("version %d: %#x %q came, want %q", version, kind, body, want)
		}
		again.Write(0x40, body[8:10])
		again.Silent()
		_ = again.Conn.Close()
		other := rig.Open(t, addr, version) // with a clean session it is forgotten
		other.Connect("panel", 2)
		if kind, body := other.Read(); kind != 0x20 || body[0] != 0 {
			t.Errorf("a clean session: %#x %x", kind, body)
		}
		other.Write(0xe0, nil)
		other.Closed()
	}
}

// Devices that say a value only when they are asked, and nodes that wait for their host,
// are spoken to by the embedded broker, too: at its start, at intervals, and with what is
// retained whenever they come.
func TestPublishToClients(t *testing.T) {
	config := plain
	config.Publish = []inlet.Publish{{Topic: "router/get", Payload: "temperature", Every: setting.Duration(time.Second)},
		{Topic: "STATE/scada", Payload: "ONLINE", Every: setting.Duration(time.Hour), Retain: true}}
	if p := config.Validate(); len(p) > 0 {
		t.Fatalf("%+v", p)
	}
	heard := newRecorder()
	s := start(t, config, heard.ingest)
	c := rig.Dial(t, address(t, s), 4, "router")
	c.Write(0x82, append(append([]byte{0, 1}, rig.String("#")...), 0))
	want := map[string]bool{"router/get temperature": true, "STATE/scada ONLINE": true}
	for len(want) > 0 {
		kind, body := c.Read()
		if kind&0xf0 != 0x30 {
			continue
		}
		n := int(body[0])<<8 | int(body[1])
		delete(want, string(body[2:2+n])+" "+string(body[2+n:]))
	}
	heard.wait(t, 0) // what the gateway says itself is no reading
}
