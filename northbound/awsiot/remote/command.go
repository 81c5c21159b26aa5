package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// command is what the cloud asks for, whichever way it comes:
//
//	{"id":"4711","at":1763887500123,"device":"boiler","point":"setpoint","value":60.5}
//	{"id":"4715","at":1763887500123,"device":"meter","set":[{"point":"command","value":2008},{"point":"p1","value":0}]}
//	{"id":"4712","at":1763887500123,"action":"read","device":"boiler"}
//	{"id":"4713","at":1763887500123,"action":"interval","device":"boiler","every":"200ms","for":"10m"}
//	{"id":"4714","at":1763887500123,"action":"rebirth"}
type command struct {
	ID string `json:"id"` // names it for ever: it is carried out once
	At int64  `json:"at"` // when it was given, in epoch milliseconds
	// Not to be carried out from then on, in epoch milliseconds; 0 is that only its age counts.
	Expires int64           `json:"expires"`
	Action  action          `json:"action"` // write unless given
	Device  string          `json:"device"`
	Point   string          `json:"point"`  // of write
	Value   json.RawMessage `json:"value"`  // of write
	Set     settings        `json:"set"`    // of write: several points, instead of point and value
	Points  []string        `json:"points"` // of read; none means all
	Every   length          `json:"every"`  // of interval; 0 is the usual again
	For     length          `json:"for"`    // of interval
}

// action is what a command does.
type action string

// The actions.
const (
	actionWrite    action = "write"
	actionRead     action = "read"
	actionInterval action = "interval"
	actionRebirth  action = "rebirth"
)

// acts reports whether the action changes anything in the field or the gateway.
// The others do no harm if they come late.
func (a action) acts() bool { return a == actionWrite || a == actionInterval }

// length is a length of time in JSON: "200ms", "10m", or 0.
type length time.Duration

// UnmarshalJSON reads what [setting.Duration] reads, and 0.
func (s *length) UnmarshalJSON(text []byte) error {
	var word string
	if string(text) == "0" {
		word = "0"
	} else if err := json.Unmarshal(text, &word); err != nil {
		return fmt.Errorf(`%s is not a length of time: write it as "200ms" or "10m"`, text)
	}
	return (*setting.Duration)(s).UnmarshalText([]byte(word))
}

// way is how a command comes.
type way string

// The ways.
const (
	viaTopic     way = "topic"     // commands.topic
	viaExecution way = "execution" // AWS IoT Commands
	viaShadow    way = "shadow"    // the shadow's desired state
)

const (
	maxCommand   = 8 << 10 // bytes of payload
	maxCommandID = 64      // bytes
	// maxCommandPoints bounds what a read may name.
	maxCommandPoints = 1000
)

// parseCommand reads a command that came by a way. The id is returned as far as
// it could be read.
func parseCommand(payload []byte, by way) (command, error) {
	var cmd command
	if len(payload) > maxCommand {
		return cmd, fmt.Errorf("a command of %d bytes: %d are allowed", len(payload), maxCommand)
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&cmd); err != nil {
		return cmd, fmt.Errorf("not a command: %w", err)
	}
	if err := eachOnce(payload); err != nil {
		return cmd, fmt.Errorf("not a command: %w", err)
	}
	switch {
	case by == viaExecution && cmd.ID != "":
		return cmd, errors.New("an execution has its own id: leave id out of its payload")
	case by == viaExecution:
	case !validID(cmd.ID):
		return command{}, fmt.Errorf("a command needs an id of 1 to %d printable characters", maxCommandID)
	case cmd.At == 0:
		return cmd, errors.New("a command needs at, its time in epoch milliseconds")
	}
	if cmd.At < 0 || cmd.Expires < 0 {
		return cmd, errors.New("a time before 1970: at and expires are epoch milliseconds")
	}
	if cmd.Action == "" {
		cmd.Action = actionWrite
	}
	return cmd, cmd.complete()
}

// complete returns what is missing in a command.
func (c *command) complete() error {
	switch c.Action {
	case actionWrite:
		one := c.Point != "" && len(c.Value) > 0 && !c.Set.given
		several := c.Point == "" && len(c.Value) == 0 && c.Set.given
		if c.Device == "" || !one && !several {
			return errors.New("write needs device, point and value, or device and set")
		}
		return c.Set.check()
	case actionRead:
		if c.Device == "" {
			return errors.New("read needs device")
		}
		if len(c.Points) > maxCommandPoints {
			return fmt.Errorf("read of %d points: name %d at most, or none for all", len(c.Points), maxCommandPoints)
		}
	case actionInterval:
		if c.Device == "" {
			return errors.New("interval needs device, and every and for unless it is to be the usual again")
		}
	case actionRebirth:
	default:
		return fmt.Errorf("action %q is not known: write, read, interval and rebirth are", c.Action)
	}
	return nil
}

func validID(id string) bool {
	return id != "" && len(id) <= maxCommandID && printable(id)
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// commandValue returns the value of a JSON text; integers stay exact.
func commandValue(raw json.RawMessage) (bridge.Value, error) {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return bridge.Value{}, err
	}
	switch v := v.(type) {
	case bool:
		return bridge.Bool(v), nil
	case string:
		return bridge.String(v), nil
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return bridge.Int(i), nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return bridge.Uint(u), nil
		}
		if f, err := strconv.ParseFloat(v.String(), 64); err == nil && !math.IsInf(f, 0) {
			return bridge.Float64(f), nil
		}
	}
	return bridge.Value{}, fmt.Errorf("%s is not a number, bool or text", raw)
}
