package mqtt

import (
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// What devices in the field send, in the shapes that their makers document, and what
// becomes of it.
func TestFrames(t *testing.T) {
	points := func(paths map[string]string) payload.Points {
		all := make(payload.Points)
		for name, path := range paths {
			all[name] = payload.Point{Path: path}
		}
		return all
	}
	history := `{"end_device_ids":{"device_id":"soil-7","dev_eui":"A84041000181C061"},` +
		`"received_at":"2026-03-29T11:59:58.123456789Z","uplink_message":{"f_port":3,"frm_payload":"CGYB9AM=",` +
		`"decoded_payload":{"Bat":"3.384 V","temp_SOIL":"30.11 °C","DATALOG":[{"ts":1774785300,"t":21.5},` +
		`{"ts":1774785900,"t":21.75}]}}}`
	for _, c := range []struct {
		name, topic, payload string
		rule                 Sensor
		want                 []string
	}{
		{"Dragino on TTN, texts with units", "v3/app@ttn/devices/soil-7/up", history, Sensor{
			Topic: "v3/+/devices/{device}/up", Time: &payload.Time{Path: "received_at"}, Points: payload.Points{
				"battery": {Path: "uplink_message.decoded_payload.Bat", Value: payload.Value{Unit: "V"}},
				"soil":    {Path: "uplink_message.decoded_payload.temp_SOIL", Value: payload.Value{Unit: "°C"}}}},
			[]string{"soil-7@1774785598123 battery=3.384 soil=30.11"}},
		{"Dragino on TTN, history", "v3/app@ttn/devices/x/up", history, Sensor{Topic: "v3/+/devices/+/up",
			Device: "{.$.end_device_ids.device_id}", Each: "uplink_message.decoded_payload.DATALOG",
			Time: &payload.Time{Path: "ts", Format: "unix"}, Points: points(map[string]string{"temperature": "t"})},
			[]string{"soil-7@1774785300000 temperature=21.5", "soil-7@1774785900000 temperature=21.75"}},
		{"TTN, bytes", "v3/app@ttn/devices/soil-7/up", history, Sensor{Topic: "v3/+/devices/{device}/up",
			Points: payload.Points{
				"temperature": {Path: "uplink_message.frm_payload", Encoding: "base64",
					Value: payload.Value{Type: "uint16"}},
				"alarm": {Path: "uplink_message.frm_payload", Encoding: "base64", At: 4, Bit: new(0)}}},
			[]string{"soil-7 alarm=true temperature=2150"}},
		{"Zigbee2MQTT", "zigbee2mqtt/Living Room", `{"battery":97.5,"last_seen":"2026-03-29T11:59:59.000Z",` +
			`"temperature":21.53,"update":{"state":"idle"}}`, Sensor{Topic: "zigbee2mqtt/{device}",
			Time: &payload.Time{Path: "last_seen"}, Points: points(map[string]string{"temperature": "temperature"})},
			[]string{"Living_Room@1774785599000 temperature=21.53"}},
		{"Tasmota in Fahrenheit", "tele/plug/SENSOR",
			`{"Time":"2026-03-29T12:00:00","DS18B20":{"Id":"01","Temperature":70.7},` +
				`"TempUnit":"F"}`, Sensor{Topic: "tele/{device}/SENSOR", Points: payload.Points{"t": {
				Path: "DS18B20.Temperature", UnitPath: "TempUnit", Value: payload.Value{Unit: "°C"}}}},
			[]string{"plug t=bad: wrong_type"}},
		{"Shelly before its clock is set", "shelly/events/rpc", `{"method":"NotifyStatus","params":{"ts":1.45,` +
			`"switch:0":{"apower":8.9}}}`, Sensor{Topic: "{device}/events/rpc", Time: &payload.Time{Path: "params.ts",
			Format: "unix"}, Points: points(map[string]string{"power": "params.switch:0.apower"})},
			[]string{"shelly power=8.9"}},
		{"BLE gateway", "gw/ac233fc0dd2e/status",
			`[{"timestamp":"2026-03-29T11:59:59Z","type":"Gateway","mac":"AC233FC0DD2E",` +
				`"gatewayFree":86},{"timestamp":"2026-03-29T11:59:59.5Z","type":"S1","mac":"AC233FA25BA1","temperature":22.14,` +
				`"humidity":51.08}]`, Sensor{Topic: "gw/+/status", Device: "{.mac}", Each: "@this",
				Time: &payload.Time{Path: "timestamp"}, Points: points(map[string]string{"temperature": "temperature"})},
			[]string{"AC233FA25BA1@1774785599500 temperature=22.14"}},
		{"Home Assistant statestream", "homeassistant/sensor/oven/state", "unavailable",
			Sensor{Topic: "homeassistant/sensor/{device}/state", Point: "value"}, []string{"oven value=bad: missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if at := time.UnixMilli(1774785600000); !at.Equal(arrival) {
				t.Fatalf("the times of the frames are of %v", at)
			}
			rig.Same(t, "batches", told(take(source(t, c.rule), c.topic, c.payload)), c.want)
		})
	}
}
