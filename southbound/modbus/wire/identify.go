package wire

import (
	"slices"

	"fieldbridge/order"
)

// Object is one object of what a unit says of itself by function 43/14 (Modbus
// Application Protocol V1.1b3, section 6.21): 0 to 6 have names, 128 to 255 are
// the maker's own.
type Object struct {
	ID   byte   `json:"id"`
	Text string `json:"text"` // as the unit sent it
}

// objectNames are those of the objects that the specification names.
var objectNames = [...]string{"vendor", "product code", "revision", "vendor url", "product name", "model",
	"application"}

// Name returns what the object is, "" for one that the specification does not name.
func (o Object) Name() string {
	if int(o.ID) < len(objectNames) {
		return objectNames[o.ID]
	}
	return ""
}

// The read device id codes: streams of objects, each with those before it.
const (
	basicObjects    = 1
	regularObjects  = 2
	extendedObjects = 3
	oneObject       = 4

	basicCount = 3 // objects that are basic
)

// Identify asks who a unit is, for all objects that it has, by their numbers. One
// that knows the basic ones alone, and refuses to be asked for more, has told all.
func (c *Client) Identify() ([]Object, error) {
	all, err := c.objects(nil, basicObjects)
	if err != nil {
		return nil, err
	}
	if more, err := c.objects(all, extendedObjects); err == nil {
		all = more
	}
	order.By(all, func(a, b Object) int { return int(a.ID) - int(b.ID) })
	return all, nil
}

// objects adds to known the objects of a stream, over as many answers as they
// take.
func (c *Client) objects(known []Object, code byte) ([]Object, error) {
	all := slices.Clone(known)
	for next, before := 0, -1; next > before; {
		got, err := c.Raw([]byte{43, 14, code, byte(next)})
		if err != nil {
			return nil, err
		}
		if err := Exception(got); err != nil {
			return nil, err
		}
		some, more, err := parseObjects(got)
		if err != nil {
			return nil, err
		}
		for _, o := range some {
			if !slices.ContainsFunc(all, func(a Object) bool { return a.ID == o.ID }) {
				all = append(all, o)
			}
		}
		before, next = next, more // one that names an earlier object again would go on for ever
	}
	return all, nil
}

// parseObjects returns the objects of an answer to function 43/14, and the next
// to ask for; 0 is that there are no more.
func parseObjects(pdu []byte) (all []Object, next int, err error) {
	const head = 7
	short := protocolErrorf("identification of %d bytes ends too early", len(pdu))
	if len(pdu) < head || pdu[1] != 14 {
		return nil, 0, short
	}
	rest := pdu[head:]
	for range pdu[head-1] {
		if len(rest) < 2 {
			return nil, 0, short
		}
		end := 2 + int(rest[1]) // no byte: 254 and 255 would begin anew at 0
		if len(rest) < end {
			return nil, 0, short
		}
		all = append(all, Object{rest[0], string(rest[2:end])})
		rest = rest[end:]
	}
	if pdu[4] != 0 {
		next = int(pdu[5])
	}
	return all, next, nil
}
