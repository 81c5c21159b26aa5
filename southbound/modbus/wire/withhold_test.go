package wire_test

import (
	"errors"
	"testing"

	"fieldbridge/southbound/modbus/wire"
)

// TestFetchWithholds: no request leaves that would read what is never read.
func TestFetchWithholds(t *testing.T) {
	_, unit, address := numbered(t)
	_, client := newLink(t, address)
	u := wire.Unit{ID: 1, Timeout: patient, Never: []wire.Run{{Table: wire.Holding, First: 10, End: 12}}}
	for _, test := range []struct {
		table        wire.Table
		first, count int
		asked        bool
	}{
		{wire.Holding, 10, 1, false}, {wire.Holding, 11, 5, false}, {wire.Holding, 0, 11, false},
		{wire.Holding, 0, 100, false},
		{wire.Holding, 0, 10, true}, {wire.Holding, 12, 1, true}, {wire.Input, 10, 1, true},
	} {
		before := unit.Count()
		err := client.Fetch(t.Context(), u, test.table, test.first, test.count, 1).Err
		if asked := unit.Count() > before; asked != test.asked || errors.Is(err, wire.ErrWithheld) == test.asked {
			t.Errorf("%v %d+%d: asked %v, %v", test.table, test.first, test.count, asked, err)
		}
		if code, ok := wire.ExceptionCode(err); !test.asked && (!ok || code != 2) {
			t.Errorf("it counts as %d, %v", code, ok)
		}
	}
}
