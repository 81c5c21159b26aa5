package first

// The text of a first configuration, in parts; each %s is a YAML scalar.
const (
	starterHead = `# A first configuration. 'fieldbridge check FILE' tells what is wrong with it, or
# what the gateway will do; 'fieldbridge test FILE' reads it once; 'fieldbridge run FILE' runs it. All keys are in
# docs/configuration.md.

gateway: %s                     # its AWS thing name and MQTT client id

northbound:
  awsiot:
    # aws iot describe-endpoint --endpoint-type iot:Data-ATS
    endpoint: %s
    certificate: certs/device.pem        # relative to this file
    private_key: certs/device.key
    topic: plant/{gateway}               # {device} in it makes a topic of each device

store:
  dir: %-34s# readings wait here while the uplink is down

southbound:
`

	starterDevice = `      %s:                          # its name in the cloud
        bus: %s
        unit_id: %d
`

	starterPoints = `        every: 1s
        points:                          # addresses count from 0
          value_1: {holding: 0, type: uint16}
          # temperature: {input: 2, type: int16, scale: 0.1, unit: "°C"}
          # energy: {holding: 100, type: uint32, order: CDAB, unit: kWh}
          # running: {coil: 3}
`

	starterSensors = `  mqtt:
    brokers:
      local: {listen: "127.0.0.1:1883"}  # the address of this machine's network lets sensors in
    sensors:
      # sensors/hall-1/temperature 21.3 is the point temperature of device hall-1
      plain: {broker: local, topic: "sensors/{device}/{point}"}
      # json: {broker: local, topic: "json/{device}", points: {temperature: {path: temperature}}}
`

	starterNothing = `  modbus: {}                             # add buses and devices, or mqtt: brokers and sensors
`

	starterEnd = `
console: {listen: "127.0.0.1:8080"}      # status page, /metrics, /healthz
`
)
