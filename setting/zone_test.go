package setting

import "testing"

func TestZone(t *testing.T) {
	if zone, err := Zone("Europe/Berlin"); err != nil || zone.String() != "Europe/Berlin" {
		t.Errorf("%v, %v", zone, err)
	}
	if _, err := Zone("Europe/Bielefeld"); err == nil {
		t.Error("Europe/Bielefeld is a time zone")
	}
}
