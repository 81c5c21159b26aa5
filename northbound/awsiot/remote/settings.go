package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fieldbridge/bridge"
)

// settings are the points that a command sets together: in the order of a list,
// [{"point":"a","value":1},{"point":"b","value":2}], or as {"a":1,"b":2} in that of
// their addresses, as who passes an object on may change its order.
type settings struct {
	given     bool
	byAddress bool
	list      []wanted
	raw       []byte // as it came, without spaces
}

type wanted struct {
	Point string          `json:"point"`
	Value json.RawMessage `json:"value"`
}

// maxSettings is how many points a command may set: as many registers as one
// request writes (Modbus Application Protocol V1.1b3, section 6.12).
const maxSettings = 123

// UnmarshalJSON reads a list or an object.
func (s *settings) UnmarshalJSON(text []byte) error {
	*s = settings{given: true}
	var raw bytes.Buffer
	if err := json.Compact(&raw, text); err != nil {
		return err
	}
	s.raw = raw.Bytes()
	if s.byAddress = s.raw[0] == '{'; !s.byAddress {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		return decoder.Decode(&s.list)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() { // a map would hide names that come twice
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		one := wanted{Point: name.(string)} // the name of an object's member
		if err := decoder.Decode(&one.Value); err != nil {
			return err
		}
		s.list = append(s.list, one)
	}
	return nil
}

// check returns what is missing.
func (s *settings) check() error {
	if !s.given {
		return nil
	}
	if len(s.list) == 0 || len(s.list) > maxSettings {
		return fmt.Errorf("set of %d points: name 1 to %d", len(s.list), maxSettings)
	}
	for i, one := range s.list {
		if one.Point == "" || len(one.Value) == 0 {
			return errors.New("set needs point and value of each")
		}
		if slices.ContainsFunc(s.list[:i], func(o wanted) bool { return o.Point == one.Point }) {
			return fmt.Errorf("set has %s twice", one.Point)
		}
	}
	return nil
}

// write returns what c asks the field to write.
func (c *command) write() (bridge.Command, error) {
	w := bridge.Command{Device: c.Device, Point: c.Point, ByAddress: c.Set.byAddress}
	if !c.Set.given {
		var err error
		w.Value, err = commandValue(c.Value)
		return w, err
	}
	for _, one := range c.Set.list {
		v, err := commandValue(one.Value)
		if err != nil {
			return w, fmt.Errorf("%s: %w", one.Point, err)
		}
		w.Set = append(w.Set, bridge.Setting{Point: one.Point, Value: v})
	}
	return w, nil
}

// what names the points that a write sets, for people.
func (c *command) what() string {
	if !c.Set.given {
		return c.Point
	}
	names := make([]string, len(c.Set.list))
	for i, one := range c.Set.list {
		names[i] = one.Point
	}
	return strings.Join(names, " ")
}
