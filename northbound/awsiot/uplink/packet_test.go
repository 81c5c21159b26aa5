package uplink

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// readPublish reads a packet back with the library.
func readPublish(t *testing.T, b []byte) *packets.Publish {
	t.Helper()
	r := bytes.NewReader(b)
	p, err := packets.ReadPacket(r)
	if err != nil || r.Len() > 0 {
		t.Fatalf("%d bytes are left, %v", r.Len(), err)
	}
	publish, ok := p.Content.(*packets.Publish)
	if !ok {
		t.Fatalf("it is a %T", p.Content)
	}
	return publish
}

func checkPublish(t *testing.T, id uint16, m bridge.Message, correlation []byte) {
	t.Helper()
	before := []byte("before")
	b := appendPublish(before, id, &m, correlation)
	if !bytes.HasPrefix(b, before) {
		t.Fatal("what was there is gone")
	}
	p := readPublish(t, b[len(before):])
	if p.QoS != 1 || p.Retain || p.Duplicate || p.PacketID != id || p.Topic != m.Topic ||
		!bytes.Equal(p.Payload, m.Payload) {
		t.Errorf("got %+v", p)
	}
	want := &packets.Properties{ContentType: m.ContentType, CorrelationData: correlation}
	if diff := cmp.Diff(want.ContentType, p.Properties.ContentType); diff != "" ||
		!bytes.Equal(p.Properties.CorrelationData, correlation) {
		t.Errorf("properties %+v", p.Properties)
	}
	if n := packetSize(&m); len(b)-len(before) > n+propertyHead+len(correlation) {
		t.Errorf("%d bytes, packetSize says %d", len(b)-len(before), n)
	}
}

func TestAppendPublish(t *testing.T) {
	for _, size := range []int{0, 1, 100, 126, 127, 128, 129, 16_300, 16_383, 16_384, 16_400, payload.MaxBytes} {
		body := bytes.Repeat([]byte("x"), size)
		checkPublish(t, 1, bridge.Message{Topic: "plant/1", Payload: body, ContentType: payload.ContentType}, nil)
		checkPublish(t, 65535, bridge.Message{Topic: "a", Payload: body}, nil)
		checkPublish(t, 256, bridge.Message{Topic: "answers/é", Payload: body, ContentType: payload.ContentType},
			bytes.Repeat([]byte{0}, 128))
	}
}

func FuzzAppendPublish(f *testing.F) {
	f.Add(uint16(1), "plant/1", []byte("{}"), "application/json", []byte("42"))
	f.Fuzz(func(t *testing.T, id uint16, topic string, payload []byte, content string, correlation []byte) {
		if len(topic) == 0 || len(topic) > 1000 || len(content) > 1000 || len(correlation) > 1000 || id == 0 {
			t.Skip()
		}
		checkPublish(t, id, bridge.Message{Topic: topic, Payload: payload, ContentType: content}, correlation)
	})
}
