package tell

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/configs"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
)

func TestPrintPlan(t *testing.T) {
	p := configs.Plan{
		Gateway: "press-line-2",
		Buses: []modbus.BusPlan{
			{Bus: "hall-a", Link: "rtu:///dev/ttyS0", Load: 1.2, Fits: setting.Duration(1600 * time.Millisecond),
				Blocks: []modbus.BlockPlan{
					{Device: "meter", UnitID: 3, Table: "holding", Address: 40, Count: 1, Points: []string{"fault"},
						Every: setting.Duration(90 * time.Second)},
				}},
			{Bus: "plc", Link: "tcp://127.0.0.1:5020", Load: 0.004, Measured: 1,
				Blocks: []modbus.BlockPlan{
					{Device: "boiler", UnitID: 1, Table: "input", Count: 3, Points: []string{"supply_temp", "return_temp"},
						Every: setting.Duration(time.Second)},
					{Device: "boiler", UnitID: 1, Table: "coil", Address: 3, Count: 1, Points: []string{"running"},
						Every: setting.Duration(time.Second)},
				}},
			{Bus: "spare", Link: "tcp://127.0.0.1:5021"},
		},
		Rules: []configs.RulePlan{{Rule: "hall", Broker: "local", Link: "listens on 127.0.0.1:1883", Topic: "hall/{device}/t",
			Device: "{device}", Points: []string{"t"}},
			{Rule: "set", Broker: "local", Link: "listens on 127.0.0.1:1883", Topic: "hall/+/set", Ignored: true}},
		North: configs.NorthPlan{Endpoint: "127.0.0.1:8883", ClientID: "press-line-2", Topic: "plant/press-line-2",
			StatusTopic: "s", Messages: 2592000, Units: 2592000},
		Queue:   configs.QueuePlan{Dir: "queue", CommitEvery: "3s", PowerCut: "3s", Offline: "3s"},
		Console: "127.0.0.1:8080",
	}
	want := `Gateway press-line-2

Modbus bus hall-a, rtu:///dev/ttyS0: about 120 % busy — more than it can do: fits at every: 1.6s, or with fewer points
  DEVICE  UNIT ID  EVERY  READS               FROM  POINTS
  meter   3        1m30s  1 holding register  40    fault
  a request every 1m30s

Modbus bus plc, tcp://127.0.0.1:5020: less than 1 % busy, as measured
  DEVICE  UNIT ID  EVERY  READS              FROM    POINTS
  boiler  1        1s     3 input registers  0 to 2  supply_temp, return_temp
  boiler  1        1s     1 coil             3       running
  2 requests per second

Modbus bus spare, tcp://127.0.0.1:5021: not busy
  nothing is read here

Sensors: a message is taken by the first rule that matches
  RULE  BROKER                             TOPIC            DEVICE    POINTS
  hall  local (listens on 127.0.0.1:1883)  hall/{device}/t  {device}  t
  set   local (listens on 127.0.0.1:1883)  hall/+/set       -         none: ignored

AWS IoT Core at 127.0.0.1:8883, as press-line-2
  readings to plant/press-line-2
  state to    s
  what is polled makes up to 2.6 million messages in 30 days, billed as 2.6 million units of 5 KB
  (about 2.59 USD at 1 USD per million units, the list price of us-east-1; rules and sensors come on top)

Queue in queue
  a power cut takes at most 3s of polled readings
  a crash takes nothing, what is not on disk is in shared memory, too

Console at http://127.0.0.1:8080/
`
	var out bytes.Buffer
	Plan(&out, p)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Addresses that are found on the device are told as such.
func TestPrintPlanOfModels(t *testing.T) {
	b := modbus.BlockPlan{Models: []int{103, 102}, Address: 2, Count: 38}
	if got, want := addresses(b), "found on the device: 2 to 39 of SunSpec model 103 or 102"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPrintQueuePlan: what a power cut takes is said for each way to spare the flash.
func TestPrintQueuePlan(t *testing.T) {
	for want, q := range map[string]configs.QueuePlan{
		"a power cut takes at most 3s of polled readings\n  a crash":        {PowerCut: "3s", Offline: "3s"},
		"at most 15s of polled readings, 3s while there is no connection\n": {PowerCut: "15s", Offline: "3s"},
		"store.flash_budget 10GB/year: once it is used up by small commits, a power cut takes up to 1m28s of": {
			PowerCut: "3s", Offline: "3s", FlashBudget: "10GB/year", UsedUp: "1m28s"},
	} {
		var out strings.Builder
		QueuePlan(&out, q)
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestAmount: check says what is read in the words of each table.
func TestAmount(t *testing.T) {
	for want, b := range map[string]modbus.BlockPlan{
		"1 coil":              {Table: "coil", Count: 1},
		"2 holding registers": {Table: "holding", Count: 2},
		"2 records of file 4": {Table: "file 4", Count: 2},
		"1 object":            {Table: "object", Count: 1},
		"2 queued registers":  {Table: "fifo", Count: 2},
	} {
		if got := amount(b); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
