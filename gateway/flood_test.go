package gateway

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/configs"
)

// TestFlood: 5,000 events of one kind in ten seconds, and on for a minute, are some
// lines that tell how many there were; other events come through.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := NewLogging(&out, configs.Log{Level: "info", Format: "text"}).Logger
		remote := log.With("part", "remote")
		for i := range 30_000 {
			remote.Warn("command refused", "id", i)
			time.Sleep(2 * time.Millisecond)
		}
		log.Warn("something else")
		time.Sleep(time.Minute)
		remote.Warn("command refused", "id", "late")
		text := out.String()
		if n := strings.Count(text, "command refused"); n < floodBurst || n > floodBurst+10 {
			t.Errorf("%d lines in a minute of flood", n)
		}
		if !strings.Contains(text, "something else") || !strings.Contains(text, "others_since_last_line=4999") {
			t.Errorf("the end of the log: %s", text[max(0, len(text)-600):])
		}
		out.Reset()
		for range 30 {
			log.Warn("device is down")
		}
		if n := strings.Count(out.String(), "\n"); n != 30 {
			t.Errorf("%d lines of 30 devices that went down at once", n)
		}
	})
}

// TestFloodOfDebug: who asks for everything gets everything.
func TestFloodOfDebug(t *testing.T) {
	var out bytes.Buffer
	log := NewLogging(&out, configs.Log{Level: "debug", Format: "json"}).Logger
	for range 1000 {
		log.Debug("packet")
	}
	if n := strings.Count(out.String(), "\n"); n != 1000 {
		t.Errorf("%d lines", n)
	}
}
