//go:build linux

package crashtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/things"
	"fieldbridge/southbound/modbus/modbustest"
)

// What the devices of a [commanded] have: setUnit a register that is set, pulseUnit a
// coil that is pulsed, keepUnit a register that is kept and one that is kept after a
// command.
const (
	setUnit, pulseUnit, keepUnit = 1, 2, 3

	setAt, pulseAt, aliveAt, powerAt = 10, 5, 20, 21
)

// commanded is a gateway that is commanded while it is killed again and again, and
// what its devices and the cloud saw.
type commanded struct {
	*rig
	sim *modbustest.Simulator

	mu       sync.Mutex
	commands map[string]*command // guarded by mu; by id
	sent     uint16              // guarded by mu; the last number that was
	life     int                 // guarded by mu; of the gateway
	written  map[uint16][]int    // guarded by mu; the lives in which a number was set
	kept     map[uint16]int      // guarded by mu; the life in which a number was first kept
	ons      int                 // guarded by mu; of the coil
	first    map[int]bool        // guarded by mu; addresses that were written in this life
	owesOff  bool                // guarded by mu; the coil was on at the kill
	again    int                 // guarded by mu; records that came twice
}

// longBefore a kill a command has come and is on the disk, however busy the machine is.
const longBefore = 1500 * time.Millisecond

// command is one that the cloud gave.
type command struct {
	point     string
	number    uint16
	execution bool
	life      int
	at        time.Time
	before    time.Duration // the kill of its gateway; 0 is that it has not been
	answers   []string      // by topic; "outcome" or "outcome again"
	records   []string      // outcomes
}

// newCommanded starts all but the gateway.
func newCommanded(t *testing.T) *commanded {
	t.Helper()
	c := &commanded{rig: emptyRig(t, filepath.Join(t.TempDir(), "queue")), sim: modbustest.New(),
		commands: map[string]*command{}, written: map[uint16][]int{}, kept: map[uint16]int{}, first: map[int]bool{}}
	c.rnd = random(t)
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(c.dir, "cloud"), Listen: needtest.Address(t),
		OnPublish: c.hear})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	c.cloud = cloud
	id, err := cloud.Device("gateway-1")
	if err != nil {
		t.Fatal(err)
	}
	for unit, does := range map[byte]modbustest.Behaviour{setUnit: c.set, pulseUnit: c.pulse, keepUnit: c.keep} {
		c.sim.Unit(unit).Always(does)
	}
	text := fmt.Sprintf(`gateway: gateway-1
northbound:
  awsiot:
    endpoint: "%s"
    server_name: localhost
    certificate: "%s"
    private_key: "%s"
    ca: "%s"
    topic: plant/{gateway}
    linger: 50ms
    backoff: {min: 1s, max: 2s}
    commands: {topic: "plant/{gateway}/cmd", executions: true, max_age: 10s}
store: {dir: "%s", commit_every: 100ms}
southbound:
  modbus:
    buses: {plc: {url: "tcp://%s", timeout: 2s}}
    devices:
      drive: {bus: plc, unit_id: %d, every: 1s, points: {speed: {holding: %d, writable: true}}}
      gate: {bus: plc, unit_id: %d, every: 1s, points: {open: {coil: %d, writable: true, pulse: 300ms}}}
      store:
        bus: plc
        unit_id: %d
        every: 1s
        points:
          alive: {holding: %d, access: write, keep: {value: 7, every: 1s, stop: 0}}
          power: {holding: %d, writable: true, keep: {every: 1s, for: 1m, stop: 0}}
`, cloud.Addr(), id.Certificate, id.PrivateKey, cloud.CA(), c.queue, c.sim.Start(t), setUnit, setAt, pulseUnit, pulseAt,
		keepUnit, aliveAt, powerAt)
	if err := os.WriteFile(c.file(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.process != nil {
			c.kill()
		}
	})
	return c
}

// set notes what is set, and takes its time for all.
func (c *commanded) set(r modbustest.Request, a *modbustest.Answer) {
	a.Delay = 30 * time.Millisecond
	if r.Function != 6 && r.Function != 16 {
		return
	}
	n := c.sim.Unit(setUnit).Get(modbustest.Holding, setAt, 1)[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[n] = append(c.written[n], c.life)
}

// pulse notes what becomes of the coil.
func (c *commanded) pulse(r modbustest.Request, a *modbustest.Answer) {
	a.Delay = 20 * time.Millisecond
	if r.Function != 5 && r.Function != 15 {
		return
	}
	on := c.sim.Unit(pulseUnit).Get(modbustest.Coil, pulseAt, 1)[0] != 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if on {
		c.ons++
	}
	if on && c.owesOff {
		c.t.Errorf("life %d: the coil that was on at the kill is set on before it was off", c.life)
	}
	c.owesOff = false
}

// keep notes what is kept.
func (c *commanded) keep(r modbustest.Request, _ *modbustest.Answer) {
	if r.Function != 6 && r.Function != 16 {
		return
	}
	n := c.sim.Unit(keepUnit).Get(modbustest.Holding, r.Address, 1)[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.first[r.Address]
	c.first[r.Address] = true
	switch {
	case r.Address == aliveAt && n != 7:
		c.t.Errorf("life %d: %d is kept, want 7", c.life, n)
	case r.Address == powerAt && first && n != 0:
		c.t.Errorf("life %d: the first value is %d, not that for stop", c.life, n)
	case r.Address == powerAt && n != 0:
		if was, known := c.kept[n]; known && was != c.life {
			c.t.Errorf("a command of life %d is kept in life %d", was, c.life)
		}
		c.kept[n] = c.life
	}
}

// hear takes what the gateway says of commands.
func (c *commanded) hear(m awsiottest.Message) {
	var said struct {
		ID, Outcome, Run string
		Again            bool
		Batches          []struct {
			Device string
			Seq    uint64
			Points map[string]json.RawMessage
		}
	}
	if m.Topic != readings && m.Topic != "answers" || json.Unmarshal(m.Payload, &said) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if told := c.commands[said.ID]; told != nil && m.Topic == "answers" {
		if said.Again {
			said.Outcome += " again"
		}
		told.answers = append(told.answers, said.Outcome)
	}
	for _, b := range said.Batches {
		var id, outcome string
		_ = json.Unmarshal(b.Points["id"], &id)
		_ = json.Unmarshal(b.Points["outcome"], &outcome)
		batch := fmt.Sprint(said.Run, " ", b.Seq)
		if told := c.commands[id]; told != nil && b.Device == "commands" && !c.arrived[batch] {
			c.arrived[batch] = true // the same batch may come again
			if told.records = append(told.records, outcome); len(told.records) > 1 {
				c.again++
			}
		}
	}
}

// give gives a command, with a number that was never given before.
func (c *commanded) give() {
	c.t.Helper()
	c.mu.Lock()
	c.sent++
	cmd := &command{number: c.sent, life: c.life, at: time.Now(), execution: c.rnd.IntN(2) == 0}
	c.mu.Unlock()
	value := fmt.Sprint(cmd.number)
	device := "drive"
	switch cmd.point = "speed"; c.rnd.IntN(6) {
	case 0:
		device, cmd.point, value = "gate", "open", "true"
	case 1:
		device, cmd.point = "store", "power"
	}
	what := fmt.Sprintf(`"device":"%s","point":"%s","value":%s}`, device, cmd.point, value)
	id := fmt.Sprint("t", cmd.number)
	if cmd.execution {
		c.mu.Lock() // its record must not come before it is known
		id = c.cloud.StartExecution("gateway-1", []byte("{"+what), 10*time.Minute)
		c.commands[id] = cmd
		c.mu.Unlock()
		return
	}
	c.mu.Lock()
	c.commands[id] = cmd
	c.mu.Unlock()
	c.send(id, fmt.Sprintf(`{"id":"%s","at":%d,%s`, id, time.Now().UnixMilli(), what))
}

func (c *commanded) send(id, payload string) {
	c.t.Helper()
	if err := c.cloud.Send(awsiottest.Message{Topic: "plant/gateway-1/cmd", Payload: []byte(payload),
		ResponseTopic: "answers"}); err != nil {
		c.t.Errorf("command %s: %v", id, err)
	}
}

// begin starts a gateway that thinks that its clock is right, and waits until it
// takes commands.
func (c *commanded) begin(strace string) {
	c.t.Helper()
	c.mu.Lock()
	c.life++
	clear(c.first)
	c.mu.Unlock()
	c.start(strace, "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=adjtimex", "-e", "inject=adjtimex:retval=0")
	probe := fmt.Sprint("probe-", c.life)
	c.mu.Lock()
	c.commands[probe] = &command{point: "rebirth"}
	c.mu.Unlock()
	c.eventually("commands are answered", 30*time.Second, func() bool {
		if len(c.cloud.Connected()) > 0 {
			c.send(probe, fmt.Sprintf(`{"id":"%s","at":%d,"action":"rebirth"}`, probe, time.Now().UnixMilli()))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.commands[probe].answers) > 0
	})
}

// end kills the gateway, and notes what it leaves.
func (c *commanded) end() {
	c.t.Helper()
	now := time.Now()
	c.kill()
	c.eventually("its connection ends", 10*time.Second, func() bool { return c.sim.Open() == 0 })
	on := c.sim.Unit(pulseUnit).Get(modbustest.Coil, pulseAt, 1)[0] != 0
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owesOff = on
	for _, cmd := range c.commands {
		if cmd.life == c.life {
			cmd.before = now.Sub(cmd.at)
		}
	}
}

// open returns the commands that are to end and have not.
func (c *commanded) open() (open []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, cmd := range c.commands {
		ended := len(cmd.records) > 0
		if status := c.cloud.Execution(id).Status; cmd.execution {
			ended = ended && status != things.Created && status != things.InProgress
		}
		if !ended && (cmd.before > longBefore || len(c.written[cmd.number]) > 0 || len(cmd.answers) > 0) {
			open = append(open, fmt.Sprintf("%s of life %d: %+v", id, cmd.life, *cmd))
		}
	}
	return open
}

// TestKillsWithCommandsUnderWay kills gateways with commands by topic and by executions
// under way and waiting, at any instant. Each is carried out at most once, whatever is
// sent again; each that was taken is on record with one outcome, which is what the
// device saw, and each execution ends. What was on by a pulse is off before it is on
// again, and what was kept after a command has its value for stop first.
func TestKillsWithCommandsUnderWay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel() // it mostly waits for other processes
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(t, "strace is missing (.ci/packages)")
	}
	c := newCommanded(t)
	kills := soak(2)
	for range kills {
		c.begin(strace)
		for range 1 + c.rnd.IntN(30) {
			c.give()
		}
		c.repeat()
		most := []int{40, 400, 3500}[c.rnd.IntN(3)]                    // within the first of them, or later
		time.Sleep(time.Duration(c.rnd.IntN(most)) * time.Millisecond) // the instant of death
		c.end()
		if t.Failed() {
			return
		}
	}
	c.begin(strace)
	for deadline := time.Now().Add(time.Minute); len(c.open()) > 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
	for _, open := range c.open() {
		t.Errorf("never ended: %s", open)
	}
	c.eventually("the coil is off", 10*time.Second, func() bool {
		return c.sim.Unit(pulseUnit).Get(modbustest.Coil, pulseAt, 1)[0] == 0
	})
	c.check(kills)
}

// repeat sends some commands again, as AWS may, of those that the gateway cannot have
// forgotten: it remembers 200, and for max_age those by topic in any case.
func (c *commanded) repeat() {
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.commands))
	c.mu.Unlock()
	for range min(3, len(ids)) {
		id := ids[c.rnd.IntN(len(ids))]
		cmd := c.commands[id]
		known := c.sent < 150 || !cmd.execution && time.Since(cmd.at) < 5*time.Second
		if cmd.point == "speed" && known {
			what := fmt.Sprintf(`"device":"drive","point":"speed","value":%d}`, cmd.number)
			if cmd.execution {
				c.cloud.ResendExecution(id, []byte("{"+what))
			} else {
				c.send(id, fmt.Sprintf(`{"id":"%s","at":%d,%s`, id, cmd.at.UnixMilli(), what))
			}
		}
	}
}

// check compares what was told with what the devices saw.
func (c *commanded) check(kills int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	outcomes, forgotten, pulses := map[string]int{}, 0, 0
	var oldest time.Duration
	for id, cmd := range c.commands {
		if len(cmd.records) == 0 {
			forgotten++ // it came to nobody, or less than a write to the disk before the kill
			oldest = max(oldest, cmd.before)
			continue
		}
		outcome := cmd.records[0]
		outcomes[outcome]++
		if i := slices.IndexFunc(cmd.records, func(o string) bool { return o != outcome }); i >= 0 {
			c.t.Errorf("%s is on record as %q", id, cmd.records)
		}
		for _, answer := range cmd.answers {
			if answer != outcome && answer != outcome+" again" {
				c.t.Errorf("%s is answered %q, and on record as %q", id, cmd.answers, outcome)
			}
		}
		if cmd.point == "open" {
			pulses++
		}
		lives := c.written[cmd.number]
		if cmd.point == "speed" && (len(lives) > 1 || outcome == "done" && len(lives) != 1 ||
			(outcome == "refused" || outcome == "expired") && len(lives) != 0) {
			c.t.Errorf("%s is %s, and was written in lives %v", id, outcome, lives)
		}
	}
	if c.ons > pulses {
		c.t.Errorf("%d pulses were asked for, the coil was on %d times", pulses, c.ons)
	}
	c.t.Logf("%d kills: %d commands, by outcome %v, %d forgotten that came at most %v before the kill, %d records again, "+
		"%d pulses", kills, len(c.commands), outcomes, forgotten, oldest.Round(time.Millisecond), c.again, c.ons)
}
