package awsiottest

import (
	"bytes"
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest/cbor"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// TestLine53Streams: a thing that has subscribed gets the blocks that it asks for.
func TestLine53Streams(t *testing.T) {
	c, gateway := up(t, nil)
	files := streams.New()
	c.Serve(files)
	want := bytes.Repeat([]byte("0123456789"), 100)
	if err := files.Put(streams.Stream{ID: "s", Files: map[int]streams.Object{0: streams.Bytes(want)}}); err != nil {
		t.Fatal(err)
	}
	request, err := cbor.Marshal(map[string]any{"f": 0, "l": 256, "n": 9})
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "$aws/things/gateway-1/streams/s/"
	gateway.publish(prefix+"get/cbor", 1, request, nil)
	if code := gateway.puback(); code != 0 { // and no block before it: nobody has subscribed
		t.Errorf("PUBACK 0x%02X", code)
	}
	gateway.subscribe(0, prefix+"data/cbor")
	gateway.publish(prefix+"get/cbor", 0, request, nil)
	var got []byte
	for range 4 {
		m := gateway.message()
		block, err := cbor.Unmarshal(m.Payload)
		if err != nil || m.Topic != prefix+"data/cbor" {
			t.Fatalf("%s: %v", m.Topic, err)
		}
		got = append(got, block.(map[string]any)["p"].([]byte)...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, of %d", len(got), len(want))
	}
}
