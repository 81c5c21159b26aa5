package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckRefusesTooManyMessages: twenty topics a second are more than the
// rate takes, whatever the queue does. If points are delivered on change only,
// that may be well, and check warns.
func TestCheckRefusesTooManyMessages(t *testing.T) {
	for _, tt := range []struct {
		topic, point string
		code         int
		say          string
	}{
		{"t/{device}", "{holding: 0}", exitUsage, "make 20.0 messages per second on 20 topics, the rate allows 16"},
		{"t/{device}", "{holding: 0, on_change: true}", exitDone, "warning: "},
		{"t", "{holding: 0}", exitDone, ""},
	} {
		file := filepath.Join(t.TempDir(), "g.yaml")
		text := fmt.Sprintf(`gateway: g
northbound: {awsiot: {endpoint: localhost, certificate: c, private_key: k, topic: %q, linger: 500ms,
    rate: {messages: 16}}}
southbound:
  modbus:
    devices: {"d-{1..20}": {url: "tcp://127.0.0.${n}", every: 1s, points: {a: %s}}}
`, tt.topic, tt.point)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := dispatch(t.Context(), []string{"check", file}, nil, &out, &errs); code != tt.code ||
			!strings.Contains(errs.String(), tt.say) {
			t.Errorf("%s, %s: exit %d: %s", tt.topic, tt.point, code, errs.String())
		}
		out.Reset()
		if code := dispatch(t.Context(), []string{"check", "--json", file}, nil, &out, &errs); code != tt.code ||
			strings.Contains(out.String(), `"ok": true`) != (tt.code == exitDone) {
			t.Errorf("%s, %s: exit %d: %s", tt.topic, tt.point, code, out.String())
		}
	}
}
