package mqtt

import (
	"fmt"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
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
			rig.Mosquitto(t, "mosquitto_pub", addr, "-V", version, "-q", qos, "-t", "hall/north/temperature", "-m", "21."+qos)
			want = append(want, "north.temperature=21."+qos)
		}
	}
	want[0], want[3] = "north.temperature=21", "north.temperature=21" // shortest form
	rig.Same(t, "readings", values(r.wait(t, 6)), want)
	rig.Mosquitto(t, "mosquitto_pub", addr, "-q", "1", "-t", "zigbee2mqtt/sonde", "-m",
		`{"temperature":4.5,"battery":97,"linkquality":3}`)
	rig.Same(t, "readings", values(r.wait(t, 7)[6:]), []string{"sonde.battery=97", "sonde.temperature=4.5"})

	devices, _, _ := catalogue.Snapshot()
	rig.Same(t, "catalogue", devices, []bridge.DeviceInfo{
		{Device: "north", Points: []bridge.PointInfo{{Name: "temperature", Type: "float64", Unit: "°C"}}},
		{Device: "sonde", Points: []bridge.PointInfo{{Name: "battery", Type: "int16"},
			{Name: "temperature", Type: "float64"}}},
	})
	status := s.Devices()
	if len(status) != 2 || status[0].Via != "mqtt local" || status[1].Good != 2 || status[0].Last.IsZero() {
		t.Errorf("devices: %+v", status)
	}
}

// What no rule takes, or what cannot be read, is acknowledged at once, but not
// before what came earlier.
func TestAckUnreadable(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(sensor("j", Sensor{Topic: "j/{device}",
		Points: map[string]payload.Point{"a": {Path: "a"}}}), anyReading()), Options{}, r.emit)
	c := rig.Dial(t, address(t, s), 4, "c")
	c.Publish(2, 1, "unknown", "1")
	c.Expect(0x40, 1)
	c.Publish(2, 2, "j/x", "{")
	c.Expect(0x40, 2)
	c.Publish(2, 3, "t/a/p", "1")
	c.Publish(2, 4, "j/x", "")
	c.Silent()
	r.wait(t, 1)
	r.take()[0](nil)
	c.Expect(0x40, 3)
	c.Expect(0x40, 4)
}

// A publisher that invents topics makes so many devices and no more.
func TestMaxDevices(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := rig.Dial(t, address(t, s), 4, "c")
	for i := range defaultMaxDevices + 50 {
		c.Publish(0, 0, "t/d"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+"/p", "1")
	}
	c.Publish(2, 1, "t/last/p", "1")
	c.Expect(0x40, 1)
	if got := len(s.Devices()); got > defaultMaxDevices {
		t.Errorf("%d devices", got)
	}
	if metric(s, "fieldbridge_mqtt_bad_payloads_total") == 0 {
		t.Error("nothing is counted")
	}
}

// The second message on a topic goes past the broker, in whatever pieces it
// comes, and is treated as the first.
func TestPastTheBroker(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			s := start(t, embeddedConfig(sensor("all", Sensor{Topic: "j/{device}", Points: payload.AllPoints()})), Options{},
				r.emit)
			c := rig.Dial(t, address(t, s), version, "c")
			var sent []byte
			out := rig.Over(t, nil, version)
			const messages = 500
			for i := range messages {
				// Names and texts are of changing length: what points into a buffer
				// that is used again would show.
				name := strings.Repeat(string(rune('a'+i%26)), 1+i%9)
				out.Conn = &rig.Collector{To: &sent}
				out.Publish(2, uint16(i+1), "j/d"+fmt.Sprint(i%7), fmt.Sprintf(`{"%s":"%s%d","n":%d}`, name, strings.Repeat("v",
					i%50), i, i))
			}
			for n := 1; len(sent) > 0; n = n*5%997 + 1 {
				n = min(n, len(sent))
				if _, err := c.Conn.Write(sent[:n]); err != nil {
					t.Fatal(err)
				}
				sent = sent[n:]
			}
			for i := range messages {
				c.Expect(0x40, uint16(i+1))
			}
			for i, b := range r.wait(t, messages) {
				name := strings.Repeat(string(rune('a'+i%26)), 1+i%9)
				want := []string{fmt.Sprintf("d%d.%s=%s%d", i%7, name, strings.Repeat("v", i%50), i),
					fmt.Sprintf("d%d.n=%d", i%7, i)}
				if name == "n" { // twice in the object: the last counts
					want = want[1:]
				}
				rig.Same(t, fmt.Sprint("message ", i), values([]bridge.Batch{b}), want)
			}
			rig.Same(t, "messages", metric(s, "fieldbridge_mqtt_messages_total"), float64(messages))
		})
	}
}
