package remote

import (
	"reflect"
	"testing"

	"fieldbridge/northbound/awsiot/payload"
	"fieldbridge/northbound/awsiot/uplink"
)

// FuzzDesired: whatever is desired, it is dealt with once and told back as it
// is, or it is too long.
func FuzzDesired(f *testing.F) {
	f.Add([]byte(`{"command":{"id":"1","at":946684800000,"device":"d","point":"p","value":9007199254740993}}`))
	f.Add([]byte(`{"command":{"id":"1","at":1e3,"action":"read"},"other":null}`))
	f.Add([]byte(`{"command":"start"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var wanted map[string]any
		if exactly(data, &wanted) != nil {
			return
		}
		c := New(testOptions(&fakeWriter{}, nil))
		conn := new(Connection)
		conn.Access.SetDefaults()
		r := &reporter{commander: c, conn: conn, desired: newDesired()}
		r.consider(wanted)
		select {
		case request := <-c.requests:
			request.reply(c.carryOut(t.Context(), *request))
			r.desired.dealtWith(<-r.desired.outcomes)
		default:
		}
		r.consider(wanted)
		if len(c.requests) != 0 {
			t.Error("it is asked for twice")
		}
		told := make(map[string]any)
		r.desired.report(told)
		command := wanted[desiredCommand]
		if len(payload.Encode(command)) <= maxDesired && !reflect.DeepEqual(told[desiredCommand], command) {
			t.Errorf("%v is told back as %v", command, told[desiredCommand])
		}
		if command != nil && told[desiredOutcome] == nil {
			t.Error("there is no outcome")
		}
		if size := len(payload.Encode(told)); size > 3<<10 {
			t.Errorf("%d bytes", size)
		}
		r.desired.noteDelta(uplink.Inbound{Payload: data})
	})
}
