package control

import (
	"context"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/gateway/change"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/southbound/modbus"
	"fieldbridge/store"
)

// Status is what GET /status answers: everything about the running gateway.
type Status struct {
	Gateway    string                  `json:"gateway"`
	Run        string                  `json:"run"`
	Version    string                  `json:"version"`
	Started    time.Time               `json:"started"`
	Now        time.Time               `json:"now"`
	Config     string                  `json:"config_hash"`
	Change     *change.Status          `json:"configuration,omitempty"`
	Link       bridge.LinkStatus       `json:"link"`
	Queue      store.Status            `json:"queue"`
	Buses      []bridge.BusStatus      `json:"buses"`
	Commands   remote.CommandStatus    `json:"commands"`
	Devices    []bridge.DeviceStatus   `json:"devices"`
	Intervals  []bridge.IntervalStatus `json:"intervals,omitempty"`
	Conditions []condition.Condition   `json:"conditions"`
}

// Values is what GET /devices/NAME answers: the newest readings of a device, as
// read, before anything holds them back.
type Values struct {
	Device string    `json:"device"`
	Now    time.Time `json:"now"`
	Points []Value   `json:"points"`
}

// Value is the newest reading of a point.
type Value struct {
	Point string    `json:"point"`
	Text  string    `json:"text,omitempty"` // of a good one; a text, so that no digit is lost
	Unit  string    `json:"unit,omitempty"`
	Bad   string    `json:"bad,omitempty"` // the reason
	At    time.Time `json:"at"`
}

// Reload asks a gateway to read its file again.
type Reload struct {
	// Confirm is how long the change is on trial; 0 is for good at once.
	Confirm time.Duration `json:"confirm"`
	// Good is the share, 0 to 1, of the points that were good and must be again.
	Good float64 `json:"good"`
}

// ReloadPage is answered by what was done, for people.
const ReloadPage Page[Reload, string] = "/reload"

// Relay is a request of another process over a bus that the gateway holds.
type Relay struct {
	Bus  string `json:"bus"` // its name or its URL
	Unit byte   `json:"unit"`
	PDU  []byte `json:"pdu"` // function code and data
}

// RelayPage is answered by the PDU of the unit's answer.
const RelayPage Page[Relay, []byte] = "/modbus"

// relayTimeout bounds a request over a bus, with the time it waits for the bus.
const relayTimeout = 30 * time.Second

// Do sends the request over a bus of source.
func (r Relay) Do(ctx context.Context, source *modbus.Source) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	return source.Relay(ctx, r.Bus, r.Unit, r.PDU)
}
