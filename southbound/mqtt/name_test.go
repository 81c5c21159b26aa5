package mqtt

import (
	"strings"
	"testing"
)

func TestDeviceName(t *testing.T) {
	long := strings.Repeat("ä", 40)
	for in, want := range map[string]string{"boiler.1_a-B": "boiler.1_a-B", "Living Room": "Living_Room", "ä": "__",
		long: strings.Repeat("_", 64)} {
		if got := deviceName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
