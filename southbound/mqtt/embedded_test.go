package mqtt

import (
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// Sensors of both protocol versions publish in each QoS.
func TestPublish(t *testing.T) {
	r := newRecorder()
	var catalogue bridge.Catalogue
	s := start(t, embeddedConfig(
		sensor("hall", Sensor{Topic: "hall/{device}/temperature", Point: "temperature", Value: payload.Value{Unit: "°C"}}),
		sensor("zigbee", Sensor{Topic: "zigbee2mqtt/{device}", Points: map[string]payload.Point{
			"temperature": {Path: "temperature"}, "battery": {Path: "battery", Value: payload.Value{Type: "int16"}}}}),
	), Options{Catalogue: &catalogue}, r.emit)
	addr := address(t, s)
	var want []string
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			mosquitto(t, "mosquitto_pub", addr, "-V", version, "-q", qos, "-t", "hall/north/temperature", "-m", "21."+qos)
			want = append(want, "north.temperature=21."+qos)
		}
	}
	want[0], want[3] = "north.temperature=21", "north.temperature=21" // shortest form
	same(t, "readings", values(r.wait(t, 6)), want)
	mosquitto(t, "mosquitto_pub", addr, "-q", "1", "-t", "zigbee2mqtt/sonde", "-m", `{"temperature":4.5,"battery":97,"linkquality":3}`)
	same(t, "readings", values(r.wait(t, 7)[6:]), []string{"sonde.battery=97", "sonde.temperature=4.5"})

	devices, _, _ := catalogue.Snapshot()
	same(t, "catalogue", devices, []bridge.DeviceInfo{
		{Device: "north", Points: []bridge.PointInfo{{Name: "temperature", Type: "float64", Unit: "°C"}}},
		{Device: "sonde", Points: []bridge.PointInfo{{Name: "battery", Type: "int16"}, {Name: "temperature", Type: "float64"}}},
	})
	status := s.Devices()
	if len(status) != 2 || status[0].Via != "mqtt local" || status[1].Good != 2 || status[0].Last.IsZero() {
		t.Errorf("devices: %+v", status)
	}
}

// Local subscribers get what is published, in the QoS that both want, and what
// is retained.
func TestLocalSubscribers(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			topic := "t/" + version + qos + "/p"
			mosquitto(t, "mosquitto_pub", addr, "-V", version, "-q", qos, "-r", "-t", topic, "-m", "7")
			got := mosquitto(t, "mosquitto_sub", addr, "-V", version, "-q", "2", "-t", topic, "-C", "1", "-W", "5", "-F", "%t %p %q %r")
			if want := topic + " 7 " + qos + " 1\n"; got != want {
				t.Errorf("retained: got %q, want %q", got, want)
			}
		}
	}
	got := make(chan string)
	go func() {
		out, err := tryMosquitto(t.Context(), need(t, "mosquitto_sub"), addr, "-q", "1", "-t", "t/#", "-C", "8", "-W", "5", "-F", "%t %p %q %r")
		if err != nil {
			t.Errorf("mosquitto_sub: %v", err)
		}
		got <- out
	}()
	until(t, "the subscription", func() bool { return subscribers(s, "t/live/p") == 1 })
	mosquitto(t, "mosquitto_pub", addr, "-q", "2", "-t", "t/live/p", "-m", "8")
	mosquitto(t, "mosquitto_pub", addr, "-q", "0", "-t", "t/live/p", "-m", "9")
	all := <-got
	for _, want := range []string{"t/live/p 8 1 0\n", "t/live/p 9 0 0\n", "t/mqttv52/p 7 1 1\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("subscriber got\n%s\nwithout %q", all, want)
		}
	}
	r.wait(t, 8)
}

func subscribers(s *Source, topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.brokers["local"].embedded.server.Topics.Subscribers(topic).Subscriptions)
}
