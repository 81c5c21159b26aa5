package payload

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"

	"github.com/google/go-cmp/cmp"
)

func TestNewDelivery(t *testing.T) {
	on, off := true, false
	if d := newDelivery(&off, nil, nil, nil); d != nil {
		t.Errorf("got %+v", d)
	}
	minute := setting.Duration(time.Minute)
	d := newDelivery(&on, &setting.Deadband{Value: 1, Percent: true}, &minute,
		&setting.Report{Every: minute, As: []string{"max"}})
	want := &bridge.Delivery{OnChange: true, Deadband: 1, Percent: true, Heartbeat: time.Minute,
		Report: &bridge.Report{Every: time.Minute, As: []bridge.Statistic{bridge.Maximum}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}
