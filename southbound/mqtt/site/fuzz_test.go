package site

import (
	"log/slog"
	"testing"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// FuzzVersion311 checks that nothing an old broker says makes the client fall over.
func FuzzVersion311(f *testing.F) {
	f.Add([]byte("\x30\x06\x00\x03w/ax\x32\x08\x00\x03w/a\x00\x01x" +
		"\x34\x08\x00\x03w/a\x00\x02x\x62\x02\x00\x02\x90\x03\x00\x01\x01\xd0\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		from := &rig.Pieces{Rest: append([]byte("\x20\x02\x00\x00"), said...), Piece: 7,
			Collector: rig.Collector{To: new([]byte)}}
		client := New("old", inlet.Broker{URL: inlet.Addresses{"mqtt://broker:1883"}}, "g", slog.New(slog.DiscardHandler),
			nil)
		err := client.use311(t.Context(), newConn(from), func(_ inlet.Message, safe func(error)) {
			if safe != nil {
				safe(nil)
			}
		})
		if err == nil {
			t.Error("the connection has no end")
		}
	})
}
