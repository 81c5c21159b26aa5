package control

import (
	"context"
	"encoding/json"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/gateway/change"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
	"fieldbridge/store/figures"
)

// Status is what GET /status answers: everything about the running gateway.
type Status struct {
	Gateway string         `json:"gateway"`
	Run     string         `json:"run"`
	Version string         `json:"version"`
	Started time.Time      `json:"started"`
	Now     time.Time      `json:"now"`
	Config  string         `json:"config_hash"`
	Change  *change.Status `json:"configuration,omitempty"`
	// ReleaseOnTrial is the version of the program, while it must prove itself.
	ReleaseOnTrial string `json:"release_on_trial,omitempty"`
	Trial          *Trial `json:"trial,omitempty"` // of it

	Link  bridge.LinkStatus `json:"link"`
	Queue figures.Status    `json:"queue"`
	// Offline is how long the uplink may be away from now on before a reading is
	// dropped, at the rate since the start; 0 if that cannot be said yet.
	Offline    time.Duration           `json:"offline_for_ns,omitempty"`
	Buses      []bridge.BusStatus      `json:"buses"`
	Commands   remote.CommandStatus    `json:"commands"`
	Jobs       *jobs.Now               `json:"jobs,omitempty"` // nil if there was none
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
	Point string `json:"point"`
	Text  string `json:"text,omitempty"` // of a good one; a text, so that no digit is lost
	// Value is the same for programs: a number, true, false or a text.
	Value json.RawMessage `json:"value,omitempty"`
	Unit  string          `json:"unit,omitempty"`
	Bad   string          `json:"bad,omitempty"` // the reason
	Raw   string          `json:"raw,omitempty"` // what its registers held when they were read last, for people
	At    time.Time       `json:"at"`
	// LastGood is the last good value beside a bad one, and LastGoodAt its time; "" if there was none.
	LastGood   string    `json:"last_good,omitempty"`
	LastGoodAt time.Time `json:"last_good_at,omitzero"`
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

// Connect asks a gateway to try the uplink now.
type Connect struct {
	// Within is how long it may take: 0 to a minute.
	Within time.Duration `json:"within"`
}

// Connected is what became of it.
type Connected struct {
	Link  bridge.LinkStatus `json:"link"`
	Tried bool              `json:"tried"` // false: there was no attempt within the time
}

// ConnectPage is answered when the attempt has ended.
const ConnectPage Page[Connect, Connected] = "/connect"

// Do has sink try now.
func (c Connect) Do(ctx context.Context, sink *awsiot.Sink) Connected {
	ctx, cancel := context.WithTimeout(ctx, min(c.Within, time.Minute))
	defer cancel()
	link, tried := sink.ConnectNow(ctx)
	return Connected{link, tried}
}

// Relay is a request of another process over a bus that the gateway holds.
type Relay struct {
	Bus  string `json:"bus"` // its name or its URL
	Unit byte   `json:"unit"`
	PDU  []byte `json:"pdu"` // function code and data
}

// RelayPage is answered by the PDU of the unit's answer.
const RelayPage Page[Relay, []byte] = "/modbus"

// Over returns how to send requests over a bus of the gateway whose queue is in dir.
func Over(dir, bus string) func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
	return func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
		answer, err := RelayPage.Ask(ctx, dir, Relay{Bus: bus, Unit: unit, PDU: pdu})
		if err != nil {
			err = wire.Told(err)
		}
		return answer, err
	}
}

// relayTimeout bounds a request over a bus, with the time it waits for the bus.
const relayTimeout = 30 * time.Second

// Do sends the request over a bus of source.
func (r Relay) Do(ctx context.Context, source *modbus.Source) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	return source.Relay(ctx, r.Bus, r.Unit, r.PDU)
}

// Write sets a point of a device that the gateway polls, within its limits: for a
// person at the machine, so that the cloud's commands may be off.
type Write struct {
	Device string `json:"device"`
	Point  string `json:"point"`
	Value  string `json:"value"` // true, false, a number or a text
}

// WritePage is answered by what became of it.
const WritePage Page[Write, bridge.Written] = "/write"

// Do sets the point of source.
func (w Write) Do(ctx context.Context, source *modbus.Source) (bridge.Written, error) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	return source.Write(ctx, bridge.Command{Device: w.Device, Point: w.Point, Value: setup.ParseValue(w.Value),
		ByHand: true}), nil
}
