package remote

import (
	"encoding/json"
	"fmt"
)

// shorten returns what the shadow is to say, as JSON has it, in most bytes.
func shorten(state map[string]any, most int) (map[string]any, error) {
	data, err := json.Marshal(state)
	for _, less := range shorter {
		if err == nil && len(data) > most {
			less(state)
			data, err = json.Marshal(state)
		}
	}
	if err != nil || len(data) > most {
		return nil, fmt.Errorf("the report takes %d bytes, %d are allowed (%v)", len(data), most, err)
	}
	var plain map[string]any
	return plain, exactly(data, &plain)
}

// mostProblems is how many problems a report that is too long lists.
const mostProblems = 5

// shorter are ways to say less, the least loss first. How many devices and
// problems are left out is told.
var shorter = []func(state map[string]any){
	func(state map[string]any) {
		devices, _ := state["devices"].(map[string]any)
		notable := make(map[string]any)
		for name, d := range devices {
			if d != "good" {
				notable[name] = d
			}
		}
		if len(devices) > len(notable) {
			state["devices"], state["devices_good"] = notable, len(devices)-len(notable)
		}
	},
	func(state map[string]any) {
		if problems, _ := state["problems"].([]any); len(problems) > mostProblems {
			state["problems"], state["problems_left_out"] = problems[:mostProblems], len(problems)-mostProblems
		}
	},
	func(state map[string]any) {
		if devices, _ := state["devices"].(map[string]any); len(devices) > 0 {
			delete(state, "devices")
			state["devices_left_out"] = len(devices)
		}
	},
}
