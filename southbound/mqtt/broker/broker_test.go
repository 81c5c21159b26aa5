package broker

import (
	"strings"
	"testing"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// Local subscribers get what is published, in the QoS that both want, and what
// is retained.
func TestLocalSubscribers(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			topic := "t/" + version + qos + "/p"
			rig.Mosquitto(t, "mosquitto_pub", addr, "-V", version, "-q", qos, "-r", "-t", topic, "-m", "7")
			got := rig.Mosquitto(t, "mosquitto_sub", addr, "-V", version, "-q", "2", "-t", topic, "-C", "1", "-W", "5", "-F",
				"%t %p %q %r")
			if want := topic + " 7 " + qos + " 1\n"; got != want {
				t.Errorf("retained: got %q, want %q", got, want)
			}
		}
	}
	got := make(chan string)
	go func() {
		out, err := rig.TryMosquitto(t.Context(), rig.Need(t, "mosquitto_sub"), addr, "-q", "1", "-t", "t/#", "-C", "8",
			"-W", "5", "-F", "%t %p %q %r")
		if err != nil {
			t.Errorf("mosquitto_sub: %v", err)
		}
		got <- out
	}()
	rig.Until(t, "the subscription",
		func() bool { return len(s.server.Topics.Subscribers("t/live/p").Subscriptions) == 1 })
	rig.Mosquitto(t, "mosquitto_pub", addr, "-q", "2", "-t", "t/live/p", "-m", "8")
	rig.Mosquitto(t, "mosquitto_pub", addr, "-q", "0", "-t", "t/live/p", "-m", "9")
	all := <-got
	for _, want := range []string{"t/live/p 8 1 0\n", "t/live/p 9 0 0\n", "t/mqttv52/p 7 1 1\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("subscriber got\n%s\nwithout %q", all, want)
		}
	}
	r.wait(t, 8)
}
