package awsiot

import (
	"testing"

	"fieldbridge/condition"
)

// TestDeniedTopicsAreToldApart: the log tells a condition once for its code and
// subject, so each topic is a subject of its own.
func TestDeniedTopicsAreToldApart(t *testing.T) {
	var d denied
	for _, topic := range []string{"plant/a", "plant/b", "plant/a"} {
		d.outcome(topic, 0x87)
	}
	if got := d.conditions(); len(got) != 2 || got[0].Code != condition.TopicDenied.Code ||
		got[0].Subject != "topic plant/a" || got[1].Subject != "topic plant/b" {
		t.Errorf("%v", got)
	}
	d.outcome("plant/a", 0)
	if got := d.conditions(); len(got) != 1 || got[0].Subject != "topic plant/b" {
		t.Errorf("one is allowed again: %v", got)
	}
}
