package payload

import "testing"

func TestPointsText(t *testing.T) {
	var p Points
	if err := p.UnmarshalText([]byte("all")); err != nil || !p.All() {
		t.Errorf("all: %v, %v", p, err)
	}
	if err := p.UnmarshalText([]byte("some")); err == nil {
		t.Error("some is accepted")
	}
}
