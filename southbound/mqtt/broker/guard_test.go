package broker

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/condition"
	"fieldbridge/password"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// TestHashedPasswords: a hash stands in the place of the password, and who guesses
// waits longer each time and is told of.
func TestHashedPasswords(t *testing.T) {
	text, err := password.New([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, Users: map[string]inlet.User{
		"hall": {PasswordFile: rig.File(t, "hall", text+"\n")}}}, newRecorder().ingest)
	addr := address(t, s)
	login(t, addr, 4, "c", "hall", "s3cret")
	try := func(user, secret string) time.Duration {
		c := rig.Open(t, addr, 4)
		b := append(append(rig.String("MQTT"), 4, 0xc2, 0, 60), rig.String("x")...)
		begin := time.Now()
		c.Write(0x10, append(append(b, rig.String(user)...), rig.String(secret)...))
		if kind, body := c.Read(); kind != 0x20 || body[1] == 0 {
			t.Errorf("%s with %s: got %#x %x, want a refusal", user, secret, kind, body)
		}
		return time.Since(begin)
	}
	try("hall", text) // the hash is no password
	try("nobody", "s3cret")
	try("hall", "wrong")
	if took := try("hall", "wrong"); took < 200*time.Millisecond {
		t.Errorf("the third guess was answered after %v", took)
	}
	login(t, addr, 4, "c", "hall", "s3cret") // who is right is known
	try("nobody", "s3cret")
	rig.Until(t, "the condition", func() bool {
		for _, c := range s.Health() {
			if c.Code == condition.SensorsRefused.Code && strings.Contains(c.Text, "5 logins") {
				return true
			}
		}
		return false
	})
}
