package gateway

import (
	"testing"

	"fieldbridge/bridge"
)

// Programs get numbers as numbers, with all digits.
func TestTold(t *testing.T) {
	for want, v := range map[string]bridge.Value{
		"18446744073709551615": bridge.Uint(1<<64 - 1), "-7": bridge.Int(-7), "71.5": bridge.Float64(71.5),
		"true": bridge.Bool(true), `"off \"1\""`: bridge.String(`off "1"`),
	} {
		if got := string(told(v)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
