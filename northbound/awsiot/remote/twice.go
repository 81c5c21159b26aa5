package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// eachOnce refuses JSON with a key that is given twice in an object, in small or
// large letters: which of the two is meant nobody knows, and other readers take
// the other one. What is no JSON it leaves to who reads it.
func eachOnce(payload []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber() // however large it is
	type object struct {
		keys map[string]bool // nil for a list
		key  bool            // a key comes next
	}
	var open []object
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open) - 1; n >= 0 && open[n].keys != nil {
			if in := &open[n]; in.key {
				name, _ := token.(string)
				if in.keys[strings.ToLower(name)] {
					return fmt.Errorf("%q is given twice: leave one out", name)
				}
				in.keys[strings.ToLower(name)] = true
				in.key = false
				continue
			}
			open[n].key = true
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{map[string]bool{}, true})
		case json.Delim('['):
			open = append(open, object{})
		}
	}
}
