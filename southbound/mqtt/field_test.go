package mqtt

import (
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// Frames that users of other programs reported, and what becomes of them: by what it is
// that makes each of them hard.
func TestField(t *testing.T) {
	point := func(p payload.Point) payload.Points { return payload.Points{"t": p} }
	at := func(path string) payload.Points { return point(payload.Point{Path: path}) }
	good := func(path string, words ...string) *payload.Quality { return &payload.Quality{Path: path, Good: words} }
	mixed := payload.Value{Type: "any"}
	p1 := "/KMP5 ZABF\r\n\r\n0-0:1.0.0(260329135954S)\r\n1-0:1.8.1(06007.111*kWh)\r\n!\r\n"
	between := func(after, until string) payload.Value { return payload.Value{After: after, Until: until} }
	for name, c := range map[string]struct {
		rule    Sensor
		payload string
		want    []string
	}{
		"ThingsBoard's gateways": {Sensor{Device: "{.^.@key}", Each: "@this", ThenEach: "@this", Path: "values",
			Points: payload.AllPoints(), Time: &payload.Time{Path: "ts", Format: "unix_ms"}},
			`{"Device A":[{"ts":1774785599000,"values":{"temperature":42}},{"ts":1774785599500,"values":{"on":true}}],` +
				`"Device B":[{"values":{"temperature":7}}],"Device C":{}}`,
			[]string{"Device_A@1774785599000 temperature=42", "Device_A@1774785599500 on=true", "Device_B temperature=7"}},
		"OPC UA PubSub": {Sensor{Device: "kuka", Each: "Messages", ThenEach: "Payload", Point: "{@key}", Path: "Value",
			Time: &payload.Time{Path: "^.Timestamp"}, Quality: good("StatusCode.Code", "0")},
			`{"MessageType":"ua-data","Messages":[{"Timestamp":"2026-03-29T11:59:59Z","Payload":{"Position":{"Value":-96.5},` +
				`"Speed":{"Value":3,"StatusCode":{"Code":2147483648,"Symbol":"Bad"}}}},{"Payload":{"Torque":{"Value":7}}}]}`,
			[]string{"kuka@1774785599000 position=-96.5 speed=bad: sentinel", "kuka torque=7"}},
		"Kepware, values of all types": {Sensor{Device: "k", Each: "values", Point: "{.id}", Path: "v", Value: mixed,
			Quality: good("q", "true")},
			`{"timestamp":1,"values":[{"id":"A.T","v":42.5,"q":true},{"id":"A.P","v":0,"q":false},` +
				`{"id":"A.On","v":true,"q":true},{"id":"A.S","v":"run","q":true}]}`,
			[]string{"k a_t=42.5 a_p=bad: sentinel a_on=true a_s=run"}},
		"EdgeX, all in quotes": {Sensor{Device: "{.device}", Each: "readings", Point: "{.name}", Path: "value", Value: mixed},
			`{"readings":[{"device":"M","name":"Power","value":"5.683000e-01"},{"device":"M","name":"Run","value":"true"},` +
				`{"device":"M","name":"Program","value":"O1001"},{"device":"M","name":"Serial","value":"0012"}]}`,
			[]string{"M power=0.5683 run=true program=O1001 serial=0012"}},
		"a part of the payload": {Sensor{Device: "d", Path: "object", Points: payload.AllPoints()},
			`{"deduplicationId":"x","rxInfo":[{"rssi":-60}],"object":{"temperature":21.5,"co2":400}}`,
			[]string{"d temperature=21.5 co2=400"}},
		"lists side by side": {Sensor{Device: "d", Each: "@group", Points: at("t"),
			Time: &payload.Time{Path: "ts", Format: "unix"}}, `{"ts":[1774785590,1774785591],"t":[21,22]}`,
			[]string{"d@1774785590000 t=21", "d@1774785591000 t=22"}},
		"a start and an interval": {Sensor{Device: "d", Each: "values", Point: "v", Time: &payload.Time{Path: "$.start",
			Format: "unix", Step: payload.Step(10 * time.Second)}}, `{"start":1774785500,"values":[1,2,3]}`,
			[]string{"d@1774785500000 v=1", "d@1774785510000 v=2", "d@1774785520000 v=3"}},
		"the newest first": {Sensor{Device: "d", Each: "values", Point: "v", Time: &payload.Time{Path: "$.end",
			Step: -payload.Step(time.Minute)}}, `{"end":"2026-03-29T11:59:00Z","values":[1,2]}`,
			[]string{"d@1774785540000 v=1", "d@1774785480000 v=2"}},
		"times counted from a base": {Sensor{Device: "d", Each: "e", Points: at("t"), Time: &payload.Time{Path: "dt",
			Base: "$.t0", Format: "unix"}}, `{"t0":1774785500,"e":[{"dt":-5,"t":1},{"dt":0.5,"t":2},{"t":3},{"dt":"x","t":4}]}`,
			[]string{"d@1774785495000 t=1", "d@1774785500500 t=2", "d@1774785500000 t=3", "d t=4"}},
		"SenML": {Sensor{Device: "{.$.0.bn}", Each: "@this", Point: "{.n}", Path: "v", Value: mixed,
			Time: &payload.Time{Path: "t", Base: "$.0.bt", Format: "unix"}},
			`[{"bn":"urn:dev:ow:10e2","bt":1774785500,"bu":"A","n":"voltage","u":"V","v":120.1},{"n":"current","t":-5,` +
				`"v":1.2},{"n":"current","t":-4,"v":1.3}]`, []string{"urn_dev_ow_10e2@1774785500000 voltage=120.1",
				"urn_dev_ow_10e2@1774785495000 current=1.2", "urn_dev_ow_10e2@1774785496000 current=1.3"}},
		"SenML without a base": {Sensor{Device: "d", Each: "@this", Point: "{.n}", Path: "v", Time: &payload.Time{Path: "t",
			Base: "$.0.bt", Format: "unix"}}, `[{"n":"a","t":-60,"v":1},{"n":"b","t":1774785500,"v":2},{"n":"c","v":3}]`,
			[]string{"d@1774785540000 a=1", "d@1774785500000 b=2", "d c=3"}},
		"date and time apart": {Sensor{Device: "d", Points: at("t"), Time: &payload.Time{DatePath: "date", Path: "time",
			Format: "02.01.2006 15:04:05"}}, `{"date":"29.03.2026","time":"11:59:00","t":1}`, []string{"d@1774785540000 t=1"}},
		"date and time in two columns": {Sensor{Device: "d", Format: payload.CSV, Points: point(payload.Point{Column: 3,
			Value: payload.Value{Decimal: ","}}), Time: &payload.Time{DateColumn: 1, Column: 2, Format: "02.01.2006 15:04:05",
			Zone: "Europe/Prague"}}, "29.03.2026;13:59:00;21,5\n29.03.2026;13:59:10;21,6\n",
			[]string{"d@1774785540000 t=21.5", "d@1774785550000 t=21.6"}},
		"separated by tabs": {Sensor{Device: "d", Format: payload.CSV, Points: payload.Points{"a": {Column: 2},
			"b": {Column: 3}}}, "x y\t21.5\t45\nx\t\t46", []string{"d a=21.5 b=45", "d b=46"}},
		"separated by bars": {Sensor{Device: "d", Format: payload.CSV, Points: point(payload.Point{Column: 2})},
			"x|21.5|45", []string{"d t=21.5"}},
		"separated by spaces": {Sensor{Device: "d", Format: payload.CSV, Points: point(payload.Point{Column: 3})},
			"x  21.5   45", []string{"d t=45"}},
		"a quality in CSV": {Sensor{Device: "d", Format: payload.CSV, Points: point(payload.Point{Column: 1}),
			Quality: &payload.Quality{Column: 2, Good: payload.Words{"ok"}}}, "1,OK\n2,err\n3\n",
			[]string{"d t=1", "d t=bad: sentinel", "d t=3"}},
		"a telegram of a smart meter": {Sensor{Device: "m", Format: payload.PlainText, Points: point(payload.Point{
			Value: payload.Value{After: "1-0:1.8.1(", Until: ")", Unit: "kWh"}}), Time: &payload.Time{After: "0-0:1.0.0(",
			Until: ")", Format: "dsmr"}}, p1, []string{"m@1774785594000 t=6007.111"}},
		"the time of a smart meter, in winter": {Sensor{Device: "m", Points: at("p.0.value"), Time: &payload.Time{
			Path: "at.0.value", Format: "dsmr"}}, `{"at":[{"value":"260328130000W"}],"p":[{"value":1.25,"unit":"kW"}]}`,
			[]string{"m@1774699200000 t=1.25"}},
		"names and values in a text": {Sensor{Device: "d", Format: payload.PlainText, Points: payload.Points{
			"t": {Value: between("T=", ";")}, "h": {Value: between("H=", "")}, "x": {Value: between("X=", "")}}},
			"DEWT=3;T=21.5;H=45 \r\nBAT=3", []string{"d h=45 t=21.5"}},
		"two numbers in a text": {Sensor{Device: "d", Points: payload.Points{"lat": {Path: "p", Value: between("", ",")},
			"lon": {Path: "p", Value: between(",", "")}}}, `{"p":"54.714572,25.303516"}`,
			[]string{"d lat=54.714572 lon=25.303516"}},
		"XML": {Sensor{Device: "d", Format: payload.PlainText, Points: point(payload.Point{
			Value: between(`<t unit="C">`, "<")})}, `<s><t unit="C">21.5</t><h>45</h></s>`, []string{"d t=21.5"}},
		"a text in one value": {Sensor{Device: "d", Point: "v", Value: between("power: ", " W")}, "power: 12.5 W",
			[]string{"d v=12.5"}},
		"no value": {Sensor{Device: "d", Points: payload.Points{"a": {Path: "a", Value: payload.Value{Invalid: payload.Words{
			"-127", "85"}, Unit: "°C"}}, "b": {Path: "b", Value: payload.Value{Invalid: payload.Words{"65535"}, Type: "uint16"}},
			"c": {Path: "c", Value: payload.Value{Invalid: payload.Words{"ERR"}}}, "d": {Path: "d"}, "e": {Path: "e"},
			"f": {Path: "f", Value: payload.Value{Invalid: payload.Words{"-127"}}}}},
			`{"a":"-127.00 °C","b":65535,"c":"ERR","d":"","e":[],"f":-126}`,
			[]string{"d a=bad: sentinel b=bad: sentinel c=bad: sentinel d=bad: missing e=bad: missing f=-126"}},
		"no value in bytes": {Sensor{Device: "d", Points: point(payload.Point{Path: "p", Encoding: "hex",
			Value: payload.Value{
				Type: "int16", Invalid: payload.Words{"-32768"}}})}, `{"p":"8000"}`, []string{"d t=bad: sentinel"}},
		"a unit as others write it": {Sensor{Device: "d", Points: payload.Points{"a": {Path: `1\.8\.0`,
			Value: payload.Value{Unit: "kWh"}}, "b": {Path: "b", Value: payload.Value{Unit: "°C"}},
			"c": {Path: "c", Value: payload.Value{Unit: "°C"}}, "d": {Path: "d", Value: payload.Value{Type: "uint16"}}}},
			"{\"1.8.0\":\"000123.456*kWh\",\"b\":\"21.5 \xb0C\",\"c\":\"21.5 [°C]\",\"d\":\"0x1F\"}",
			[]string{"d a=123.456 b=21.5 c=21.5 d=31"}},
		"JSON in a text of JSON": {Sensor{Device: "d", Points: at("message.@fromstr.temperature")},
			`{"message":"{\"id\":186,\"temperature\":22.90}"}`, []string{"d t=22.9"}},
		"an IO-Link master": {Sensor{Device: "{.$.adr}", Each: "data.payload", Points: point(payload.Point{Path: "data",
			Encoding: "hex", Value: payload.Value{Type: "int16"}})}, `{"adr":"m1","data":{"payload":{"/timer[1]/counter":` +
			`{"code":200,"data":1},"/iolinkmaster/port[2]/iolinkdevice/pdin":{"code":200,"data":"00C9"}}}}`,
			[]string{"m1 t=bad: wrong_type", "m1 t=201"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Topic = "field"
			rig.Same(t, "batches", told(take(source(t, c.rule), "field", c.payload)), c.want)
		})
	}
}
