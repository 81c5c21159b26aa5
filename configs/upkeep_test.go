package configs

import (
	"strings"
	"testing"
)

// TestProfilesThatWrite: what a profile would have the gateway write by itself is
// refused, unless the device says that it may.
func TestProfilesThatWrite(t *testing.T) {
	const head = `
gateway: g
northbound:
  awsiot:
    {endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com, certificate: a, private_key: b, topic: "plant/{gateway}"}
profiles:
  battery:
    on_connect: [{holding: 0x600, value: 6868}]
    points: {alive: {holding: 40608, keep: {value: 1, every: 5s}}, state: {holding: 40601}}
  plain: {points: {state: {holding: 40601}}}
southbound:
  modbus:
    devices:
`
	const refused = "the profile battery has the gateway write by itself: "
	for device, want := range map[string]string{
		"profile: battery": refused +
			"on_connect, keep of alive",
		"profile: battery, upkeep: false": refused,
		"profile: battery, upkeep: true":  "",
		"profile: plain":                  "",
		"profile: battery, on_connect: null, points: {alive: {holding: 40608}}":            "",
		"profile: battery, on_connect: null, only: [state]":                                "",
		"profile: battery, on_connect: [{holding: 1, value: 1}]":                           refused + "keep of alive",
		"profile: battery, upkeep: 1":                                                      `upkeep is "1"`,
		"upkeep: true, points: {a: {holding: 1}}":                                          "upkeep of a device without",
		"points: {a: {holding: 1, keep: {value: 1, every: 5s}}}":                           "",
		"points: {a: {holding: 1, keep: {value: 0x10, every: 5s, stop: true}}}":            "true is not a number",
		"points: {a: {holding: 1}}, before_write: [{holding: 1, value: 012}]":              "leading zero",
		"points: {a: {holding: 1}}, before_write: [{holding: 1, valeu: 12}]":               "valeu",
		"points: {a: {holding: 1}}, before_write: {holding: 1, value: 12}":                 "before_write",
		"points: {a: {coil: 1}}, on_connect: [{point: a, value: off}]":                     "neither true nor false",
		"points: {a: {coil: 1}}, on_connect: [{point: a, value: false}]":                   "",
		"points: {a: {holding: 1, type: string, length: 4, keep: {value: ab, every: 5s}}}": "",
	} {
		_, err := Parse("gateway.yaml", []byte(head+"      b: {url: tcp://h, "+device+"}\n"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s:\n%v\nwant %q", device, err, want)
		}
	}
}
