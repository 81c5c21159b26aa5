package configs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/configs/sensors"
	"fieldbridge/southbound/mqtt"
)

// sensorRecipes has a payload as the vendor documents it for each recipe, and
// what must be read from it.
var sensorRecipes = []struct {
	name, topic, rule, payload string
	at                         string // "" is the time of arrival
	want                       []string
}{
	{"zigbee2mqtt", "zigbee2mqtt/Living Room", `topic: "zigbee2mqtt/{device}"`,
		`{"battery":97.5,"humidity":44.12,"linkquality":120,"pressure":1011.3,"temperature":21.53,"voltage":2995,` +
			`"last_seen":null,"update":{"state":"idle"}}`, "",
		[]string{"Living_Room.battery=97.5", "Living_Room.humidity=44.12", "Living_Room.linkquality=120",
			"Living_Room.pressure=1011.3", "Living_Room.temperature=21.53", "Living_Room.voltage=2995"}},
	{"zigbee2mqtt", "zigbee2mqtt/plug", `topic: "zigbee2mqtt/{device}"`,
		`{"current":0.2,"energy":12.4,"power":45.1,"state":"ON","voltage":231}`, "",
		[]string{"plug.current=0.2", "plug.energy=12.4", "plug.power=45.1", "plug.state=true", "plug.voltage=231"}},
	{"tasmota", "tele/press/SENSOR", `topic: "tele/{device}/SENSOR", time: {path: Time, zone: Europe/Prague}`,
		`{"Time":"2025-11-23T09:45:00","ENERGY":{"TotalStartTime":"2024-01-01T00:00:00","Total":11.738,"Yesterday":0.8,` +
			`"Today":0.31,"Period":0,"Power":46,"ApparentPower":60,"ReactivePower":38,"Factor":0.77,"Voltage":229,` +
			`"Current":0.262},"DS18B20":{"Id":"01131B123456","Temperature":20.6},"TempUnit":"C"}`,
		"2025-11-23T08:45:00Z",
		[]string{"press.apparent_power=60", "press.current=0.262", "press.ds18b20_temperature=20.6",
			"press.energy_today=0.31", "press.energy_total=11.738",
			"press.power=46", "press.power_factor=0.77", "press.reactive_power=38", "press.voltage=229"}},
	{"tasmota", "tele/press/STATE", `topic: "tele/{device}/STATE"`,
		`{"Time":"2025-11-23T09:45:00","Uptime":"0T00:08:30","UptimeSec":510,"Heap":25,"SleepMode":"Dynamic","POWER":"OFF",` +
			`"Wifi":{"AP":1,"SSId":"hall","RSSI":82,"Signal":-59}}`, "",
		[]string{"press.relay=false", "press.uptime=510", "press.wifi_signal=-59"}},
	{"shelly-gen2", "shellyplus1pm-a8032abe54dc/events/rpc", `topic: "{device}/events/rpc"`,
		`{"src":"shellyplus1pm-a8032abe54dc","dst":"shellyplus1pm-a8032abe54dc/events","method":"NotifyStatus",` +
			`"params":{"ts":1763887500.25,"switch:0":{"id":0,"apower":8.9,"current":0.06,"output":true,"voltage":230.1,` +
			`"aenergy":{"by_minute":[1.1,2.2,3.3],"minute_ts":1763887499,"total":11.679},"temperature":{"tC":53.3,` +
			`"tF":127.9}}}}`,
		"2025-11-23T08:45:00.25Z",
		[]string{"shellyplus1pm-a8032abe54dc.switch_0=true", "shellyplus1pm-a8032abe54dc.switch_0_current=0.06",
			"shellyplus1pm-a8032abe54dc.switch_0_energy=11.679",
			"shellyplus1pm-a8032abe54dc.switch_0_power=8.9", "shellyplus1pm-a8032abe54dc.switch_0_temperature=53.3",
			"shellyplus1pm-a8032abe54dc.switch_0_voltage=230.1"}},
	{"rtl_433", "rtl_433/Acurite-Tower/11524", `topic: "rtl_433/{model}/{id}", device: "{model}-{id}"`,
		`{"time":"2025-11-23 09:45:00","model":"Acurite-Tower","id":11524,"channel":"A","battery_ok":1,` +
			`"temperature_C":-3.4,"humidity":81,"mic":"CHECKSUM","rssi":-0.1,"snr":19.2}`, "",
		[]string{"Acurite-Tower-11524.battery_ok=1", "Acurite-Tower-11524.humidity=81", "Acurite-Tower-11524.rssi=-0.1",
			"Acurite-Tower-11524.snr=19.2", "Acurite-Tower-11524.temperature=-3.4"}},
	{"ttn", "v3/plant@ttn/devices/soil-7/up", `topic: "v3/{application}/devices/{device}/up"`,
		`{"end_device_ids":{"device_id":"soil-7","application_ids":{"application_id":"plant"}},` +
			`"received_at":"2025-11-23T08:45:00.775023242Z","uplink_message":{"f_port":2,"f_cnt":4,"frm_payload":"DTg=",` +
			`"decoded_payload":{"Bat":"3.384 V","TempC_DS18B20":"0.00 °C","conduct_SOIL":"0 uS/cm","temp_SOIL":"30.11 °C",` +
			`"water_SOIL":"12.5 %"},"rx_metadata":[{"rssi":-36,"snr":10.5}]}}`,
		"2025-11-23T08:45:00.775023242Z",
		[]string{"soil-7.battery_voltage=3.384", "soil-7.frame=4", "soil-7.port=2", "soil-7.rssi=-36", "soil-7.snr=10.5",
			"soil-7.soil_conductivity=0", "soil-7.soil_temperature=30.11", "soil-7.soil_water=12.5"}},
	{"chirpstack", "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up",
		`topic: "application/{application}/device/{device}/event/up", points: {co2: {path: object.co2, unit: ppm}}`,
		`{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2025-11-23T08:45:00.775023242+00:00",` +
			`"deviceInfo":{"tenantName":"ChirpStack","deviceName":"Test device","devEui":"0101010101010101"},` +
			`"devAddr":"00189440","adr":true,"dr":1,"fCnt":4,"fPort":1,"confirmed":false,"data":"qg==",` +
			`"object":{"temperature":22.5,"co2":612},"rxInfo":[{"gatewayId":"0016c001f153a14c","uplinkId":4217106255,` +
			`"rssi":-36,"snr":10.5}],"txInfo":{"frequency":867100000}}`,
		"2025-11-23T08:45:00.775023242Z",
		[]string{"0101010101010101.co2=612", "0101010101010101.data_rate=1", "0101010101010101.frame=4",
			"0101010101010101.port=1", "0101010101010101.rssi=-36",
			"0101010101010101.snr=10.5", "0101010101010101.temperature=22.5"}},
}

func TestSensorRecipes(t *testing.T) {
	for _, c := range sensorRecipes {
		t.Run(c.topic, func(t *testing.T) {
			b := publishTo(t, recipeConfig(t, c.name, c.rule), c.topic, c.payload)
			var got []string
			for _, r := range b.Readings {
				got = append(got, fmt.Sprintf("%s.%s=%s", b.Device, r.Point, r.Value))
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
			at := b.At.UTC().Format(time.RFC3339Nano)
			if c.at == "" && time.Since(b.At) > time.Minute || c.at != "" && at != c.at {
				t.Errorf("at %s, want %q", at, c.at)
			}
		})
	}
}

// Every recipe has a test.
func TestEveryRecipeIsTested(t *testing.T) {
	var tested []string
	for _, c := range sensorRecipes {
		tested = append(tested, c.name)
	}
	slices.Sort(tested)
	if diff := cmp.Diff(slices.Sorted(slices.Values(sensors.Names())), slices.Compact(tested)); diff != "" {
		t.Errorf("recipes and their tests (-shipped +tested):\n%s", diff)
	}
}

// recipeConfig loads a gateway with one sensor rule of a recipe, strictly.
func recipeConfig(t *testing.T, profile, rule string) mqtt.Config {
	t.Helper()
	l, err := Parse("recipe.yaml", fmt.Appendf(nil, `
gateway: press-line-2
northbound:
  awsiot:
    endpoint: a1b2c3d4-ats.iot.eu-central-1.amazonaws.com
    certificate: certs/device.pem
    private_key: certs/device.key
    topic: "plant/{gateway}"
southbound:
  mqtt:
    brokers: {local: {listen: "127.0.0.1:0"}}
    sensors:
      rule: {broker: local, profile: %s, %s}
`, profile, rule))
	if err != nil {
		t.Fatal(err)
	}
	return l.Config.Southbound.MQTT
}

// publishTo runs a source, publishes one message to it (MQTT 3.1.1, QoS 0) and
// returns what is read from it.
func publishTo(t *testing.T, cfg mqtt.Config, topic, payload string) bridge.Batch {
	t.Helper()
	source, err := mqtt.New(cfg, mqtt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	batches := make(chan bridge.Batch, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		_ = source.Run(ctx, func(b bridge.Batch, _ func(error)) { batches <- b })
	})
	defer running.Wait()
	defer cancel()
	deadline := time.Now().Add(30 * time.Second)
	for source.Addr("local") == nil {
		if time.Now().After(deadline) {
			t.Fatal("the broker does not listen")
		}
		<-time.After(time.Millisecond)
	}
	c, err := net.Dial("tcp", source.Addr("local").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	packet := func(kind byte, parts ...string) {
		body := strings.Join(parts, "")
		b := append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) string { return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s }
	packet(0x10, text("MQTT"), "\x04\x02\x00\x3c", text("test"))
	connack := make([]byte, 4)
	if _, err := c.Read(connack); err != nil || !bytes.Equal(connack, []byte{0x20, 2, 0, 0}) {
		t.Fatalf("CONNACK %x, %v", connack, err)
	}
	packet(0x30, text(topic), payload)
	select {
	case b := <-batches:
		return b
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing is read: %+v", source.Seen())
	}
	return bridge.Batch{}
}
