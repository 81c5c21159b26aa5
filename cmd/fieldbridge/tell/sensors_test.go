package tell

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/mqtt"
)

func TestPrintSensors(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var got bytes.Buffer
	Sensors(&got, mqtt.Listing{Topics: []mqtt.Seen{
		{Broker: "local", Topic: "hall/north/temperature", Sensor: "hall", Device: "north", Messages: 1204,
			Last: now.Add(-time.Second), Payload: "19.5",
			Values: map[string]string{"temperature": "19.5"}},
		{Broker: "local", Topic: "hall/south/temperature", Sensor: "hall", Device: "south", Messages: 3,
			Last: now.Add(-time.Minute), Payload: "n/a",
			Values: map[string]string{"temperature": "bad: wrong_type"}, Absent: []string{"humidity", "mode"},
			Error: "temperature: not a number"},
		{Broker: "local", Topic: "plc/1", Sensor: "plc", Device: "1", Messages: 1, Last: now,
			Values: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8"}},
		{Broker: "local", Topic: "plc/2", Sensor: "plc", Messages: 1, Last: now, Error: "the payload is empty"},
		{Broker: "site", Topic: "tele/\x1b[2J/STATE", Messages: 7, Last: now, Payload: `{}`},
	}, Rules: []mqtt.RuleSeen{
		{Broker: "local", Sensor: "hall", Filter: "hall/{device}/temperature", Messages: 1207, Last: now.Add(-time.Second)},
		{Broker: "site", Sensor: "sec", Filter: "secret/{device}", Subscription: "refused (0x87)"},
	}, Clients: []mqtt.ClientTrouble{
		{Broker: "local", Trouble: "refused_login", Client: "lamp", User: "hall", Remote: "10.0.0.7:4711", Count: 12,
			Cause: "wrong password", Advice: "give it a password", Last: now.Add(-time.Minute)},
		{Broker: "local", Remote: "10.0.0.8:4712", Count: 1, Cause: "it begins TLS", Advice: "turn it off", Last: now},
	}}, now)
	want := `RULE  BROKER  TOPIC                   DEVICE  MESSAGES  LAST           VALUES
hall  local   hall/north/temperature  north   1,204     1 s ago        temperature=19.5
hall  local   hall/south/temperature  south   3         1 min 0 s ago  temperature=bad: wrong_type
                                                                       ^ temperature: not a number, in n/a
                                                                       ^ not in any message so far: humidity, mode
plc   local   plc/1                   1       1         0 s ago        a=1, b=2, c=3, d=4, e=5, f=6, and 2 more
plc   local   plc/2                   -       1         0 s ago        -
                                                                       ^ the payload is empty, in ""

no rule takes these topics: add one under southbound.mqtt.sensors if they matter
  site  "tele/\x1b[2J/STATE"  7  0 s ago  {}

what each rule heard:
  hall  local  hall/{device}/temperature  1,207  1 s ago
  sec   site   secret/{device}            0      no message yet  subscription refused (0x87)

clients that were refused, cut off or not taken in full:
  local  lamp (user hall)  10.0.0.7:4711  12 times  1 min 0 s ago  wrong password: give it a password
  local  -                 10.0.0.8:4712  once      0 s ago        it begins TLS: turn it off
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
