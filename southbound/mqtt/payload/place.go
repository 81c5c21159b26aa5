package payload

import (
	"github.com/tidwall/gjson"

	"fieldbridge/southbound/mqtt/topic"
)

// place is where something is in a payload.
type place struct {
	path   string // GJSON
	column int    // CSV, from 1
	// optional is of a part of a name that may be missing
	optional bool
	around   bool // in the element around
	root     int  // index of what is found once in the whole payload, plus 1; 0 is in the element
}

// fromRoot begins the paths that are counted from the whole payload.
const fromRoot = "$."

// fromAround begins those that are counted from the element around one of then_each.
const fromAround = "^."

// element is a part of a payload: one of a list or object, or the whole.
type element struct {
	gjson.Result
	key    string         // of it, or its index
	index  int            // in a list
	around *element       // that it is in; nil for the elements of each
	whole  []gjson.Result // what was found in the whole payload
}

// get returns what is at a place, from the element or the whole payload.
func (e *element) get(p place) gjson.Result {
	switch {
	case p.root > 0:
		return e.whole[p.root-1]
	case p.around && e.around != nil:
		e = e.around
	}
	switch {
	case p.path == "":
		return e.Result
	case e.Type != gjson.JSON:
		return gjson.Result{}
	}
	return gjson.Get(e.Raw, p.path)
}

// name returns what is at a place as a part of a name, "" if nothing that could be
// one is.
func (e *element) name(p place) string {
	if p.path == topic.Key {
		if p.around && e.around != nil {
			return e.around.key
		}
		return e.key
	}
	switch r := e.get(p); r.Type {
	case gjson.String:
		return r.Str
	case gjson.Number, gjson.True, gjson.False:
		return r.Raw
	}
	return ""
}
