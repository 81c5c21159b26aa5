package rules

import "testing"

func TestPolicy(t *testing.T) {
	known := map[string]string{"iot:ClientId": "press-1"}
	statement := func(deny bool, action, resource string) Statement {
		return Statement{Deny: deny, Actions: []string{action}, Resources: []string{resource}}
	}
	for name, tt := range map[string]struct {
		policy Policy
		want   bool
	}{
		"empty":                 {nil, false},
		"the same":              {Policy{statement(false, "iot:Publish", "topic/plant/press-1")}, true},
		"another action":        {Policy{statement(false, "iot:Receive", "topic/plant/press-1")}, false},
		"another topic":         {Policy{statement(false, "iot:Publish", "topic/plant/press-2")}, false},
		"stars":                 {Policy{statement(false, "iot:*", "topic/*/press*")}, true},
		"a question mark":       {Policy{statement(false, "iot:Publish", "topic/plant/press-?")}, true},
		"one character too few": {Policy{statement(false, "iot:Publish", "topic/plant/press-1?")}, false},
		"MQTT's own wildcard":   {Policy{statement(false, "iot:Publish", "topic/plant/+")}, false},
		"a variable":            {Policy{statement(false, "iot:Publish", "topic/plant/${iot:ClientId}")}, true},
		"an unknown variable":   {Policy{statement(false, "iot:Publish", "topic/plant/${x}*")}, false},
		"denied": {Policy{statement(false, "iot:*", "*"), statement(true, "iot:Publish", "topic/plant/*")},
			false},
		"another is denied": {Policy{statement(true, "iot:Publish", "topic/x"), statement(false, "iot:*", "*")}, true},
	} {
		if got := tt.policy.Allows("iot:Publish", "topic/plant/press-1", known); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUnits(t *testing.T) {
	for size, want := range map[int]uint64{0: 1, 1: 1, 5120: 1, 5121: 2, 128 << 10: 26} {
		if got := Units(size); got != want {
			t.Errorf("%d bytes: %d units, want %d", size, got, want)
		}
	}
}
