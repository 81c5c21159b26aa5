package demo

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/mqtt/mqtttest"
)

// gatewayName is the gateway's name in the demo.
const gatewayName = "demo-gateway"

// configText is the demo's configuration; the cloud's and the simulator's
// addresses are filled in.
const configText = `# What 'fieldbridge demo' runs. Every address is on this machine.
gateway: demo-gateway
northbound:
  awsiot:
    endpoint: %s
    server_name: localhost
    certificate: certs/demo-gateway.pem
    private_key: certs/demo-gateway.key
    ca: certs/ca.pem
    topic: plant/{gateway}
    linger: 500ms
    commands: {executions: true}
    backoff: {min: 1s, max: 3s}
store:
  dir: queue
southbound:
  modbus:
    buses:
      plc: {url: "tcp://%s"}
    devices:
      boiler:
        bus: plc
        unit_id: 1
        every: 1s
        points:
          supply_temp: {input: 0, type: float32, unit: "°C"}
          return_temp: {input: 2, type: int16, scale: 0.1, unit: "°C"}
          setpoint: {holding: 60, type: float32, unit: "°C", writable: {min: 20, max: 80}}
          energy: {holding: 100, type: uint32, order: CDAB, scale: 0.01, unit: kWh}
          running: {coil: 3}
          door_open: {discrete: 7}
      press:
        bus: plc
        unit_id: 2
        every: 500ms
        points:
          force: {input: 0, type: uint16, unit: kN}
          strokes: {holding: 0, type: uint32}
          fault: {holding: 40, bit: 3}
  mqtt:
    brokers:
      local: {listen: "127.0.0.1:0"}
    sensors:
      hall: {broker: local, topic: "hall/{device}/temperature", point: temperature, unit: "°C"}
      zigbee:
        broker: local
        topic: "zigbee2mqtt/{device}"
        points:
          temperature: {path: temperature, unit: "°C"}
          battery: {path: battery, type: int16, unit: "%%"}
console: {listen: "127.0.0.1:0"}
`

// plant is the simulated field: a PLC with two units, and MQTT sensors.
type plant struct {
	plc     *modbustest.Simulator
	address string
}

func newPlant(address string) (*plant, error) {
	f := &plant{plc: modbustest.New()}
	f.plc.Unit(1)
	f.plc.Unit(2)
	f.plc.Unit(1).Set(modbustest.Holding, 60, modbustest.Float32(71)...)
	f.set(0)
	var err error
	f.address, err = f.plc.Listen(address)
	return f, err
}

// run runs the field until ctx ends. broker returns where sensors connect to,
// "" as long as that is not known.
func (f *plant) run(ctx context.Context, broker func() string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = f.plc.Run(ctx) }) // it ends with ctx
	wg.Go(func() {
		for start := time.Now(); pause.Sleep(ctx, 100*time.Millisecond); {
			f.set(time.Since(start))
		}
	})
	addr := broker()
	for ; addr == ""; addr = broker() {
		if !pause.Sleep(ctx, 50*time.Millisecond) {
			return
		}
	}
	start := time.Now()
	wave := func(mean, swing, period float64) float64 {
		return math.Round(10*(mean+swing*math.Sin(2*math.Pi*time.Since(start).Seconds()/period))) / 10
	}
	sensors := []mqtttest.Sensor{
		{ID: "hall-north", Every: time.Second,
			Read: func() (string, string) { return "hall/north/temperature", fmt.Sprint(wave(19, 1, 60)) }},
		{ID: "hall-south", Every: time.Second,
			Read: func() (string, string) { return "hall/south/temperature", fmt.Sprint(wave(21, 2, 45)) }},
		{ID: "zigbee", Every: 2 * time.Second, Read: func() (string, string) {
			return "zigbee2mqtt/office", fmt.Sprintf(`{"temperature":%v,"battery":97,"linkquality":120}`, wave(23, 1, 30))
		}},
	}
	for i := range sensors {
		sensors[i].Addr = addr
		wg.Go(func() { sensors[i].Run(ctx) })
	}
}

// set lets the machines run for t.
func (f *plant) set(t time.Duration) {
	s := t.Seconds()
	boiler, press := f.plc.Unit(1), f.plc.Unit(2)
	want := boiler.Get(modbustest.Holding, 60, 2)
	setpoint := math.Float32frombits(uint32(want[0])<<16 | uint32(want[1]))
	boiler.Set(modbustest.Input, 0, modbustest.Float32(setpoint+float32(3*math.Sin(s/9)))...)
	boiler.Set(modbustest.Input, 2, uint16(int16(480+25*math.Sin(s/13))))
	energy := uint32(1_234_567 + 8*s)
	boiler.Set(modbustest.Holding, 100, uint16(energy), uint16(energy>>16))
	boiler.SetBit(modbustest.Coil, 3, int(s)%20 < 15)
	boiler.SetBit(modbustest.Discrete, 7, int(s)%30 == 7)
	press.Set(modbustest.Input, 0, uint16(250+200*math.Abs(math.Sin(s*2))))
	press.Set(modbustest.Holding, 0, modbustest.Uint32(uint32(s*2))...)
	press.Set(modbustest.Holding, 40, 0)
}
