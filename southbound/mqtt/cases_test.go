package mqtt

import (
	"fmt"
	"testing"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// What was right before must stay so: the cases of the field whose payloads and topics
// were read as they should be, by their ids.
func TestCasesThatWereRight(t *testing.T) {
	at := func(path string) payload.Points { return payload.Points{"t": {Path: path}} }
	plain := Sensor{Topic: "p/{device}", Point: "v"}
	clock := Sensor{Topic: "p/{device}", Time: &payload.Time{Path: "time", Format: "unix"}, Points: at("t")}
	shelly := Sensor{Topic: "{device}/events/rpc", Time: &payload.Time{Path: "params.ts", Format: "unix"},
		Points: payload.Points{"power": {Path: "params.switch:0.apower"}}}
	type message struct{ topic, payload, want string } // want is "" where nothing is to come
	for id, c := range map[string]struct {
		rule     Sensor
		messages []message
	}{
		"P04": {Sensor{Topic: "dsmr/{device}", Points: at("power_delivered.0.value")}, []message{
			{"dsmr/m", `{"power_delivered":[{"value":1.674,"unit":"kW"}]}`, "m t=1.674"}}},
		"P08": {Sensor{Topic: "p/{device}", Points: at("temperature")}, []message{
			{"p/a", `{"temperature":"15.5"}`, "a t=15.5"}}},
		"P11": {plain, []message{{"p/a", "nan", "a v=bad: not_a_number"}, {"p/a", "NaN", "a v=bad: not_a_number"},
			{"p/a", "None", "a v=bad: missing"}, {"p/a", "inf", "a v=bad: not_a_number"}, {"p/a", "", ""},
			{"p/a", "1e999", "a v=bad: out_of_range"}}},
		"P15": {Sensor{Topic: "v3/+/devices/{device}/up", Time: &payload.Time{Path: "received_at"},
			Points: at("uplink_message.decoded_payload.t")}, []message{
			{"v3/APP@TENANT/devices/DEV/up", `{"received_at":"2026-03-29T11:59:58.123456789Z",` +
				`"uplink_message":{"decoded_payload":{"t":21.5}}}`, "DEV@1774785598123 t=21.5"}}},
		"P17": {Sensor{Topic: "{device}/status/{point}/value"}, []message{
			{"mpp/status/ac_output_power/value", "230.1", "mpp ac_output_power=230.1"},
			{"mpp/status/mode/value", "Line", "mpp mode=bad: wrong_type"}}},
		"P19": {clock, []message{{"p/a", `{"time":188,"t":1}`, "a t=1"}, {"p/a", `{"time":0,"t":1}`, "a t=1"},
			{"p/a", `{"time":4294967295,"t":1}`, "a t=1"}, {"p/a", `{"time":1774785599000,"t":1}`, "a t=1"},
			{"p/a", `{"time":-5,"t":1}`, "a t=1"}, {"p/a", `{"time":1774785599,"t":1}`, "a@1774785599000 t=1"}}},
		"P30": {shelly, []message{
			{"s/events/rpc", `{"method":"NotifyStatus","params":{"ts":1774785599.25,"switch:0":{"apower":8.9}}}`,
				"s@1774785599250 power=8.9"},
			{"s/events/rpc", `{"method":"NotifyEvent","params":{"ts":1774785599.5,"events":[{"event":"single_push"}]}}`, ""},
			{"s/events/rpc", `{"method":"NotifyStatus","params":{"ts":1.45,"switch:0":{"apower":8.9}}}`, "s power=8.9"}}},
		"B12": {Sensor{Topic: "+/{device}/v", Point: "v"}, []message{{"t/5c:cf:7f:00:11:22/v", "1", "5c_cf_7f_00_11_22 v=1"},
			{"/lead/v", "2", "lead v=2"}, {"t//v", "3", ""}}},
		"S11": {Sensor{Topic: "$SYS/broker/clients/connected", Device: "broker", Point: "clients"}, []message{
			{"$SYS/broker/clients/connected", "4", "broker clients=4"}}},
	} {
		t.Run(id, func(t *testing.T) {
			s := source(t, c.rule)
			for _, m := range c.messages {
				var want []string
				if m.want != "" {
					want = []string{m.want}
				}
				rig.Same(t, fmt.Sprint(id, ": ", m.payload), told(take(s, m.topic, m.payload)), want)
			}
		})
	}
}
