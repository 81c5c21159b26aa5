package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/configs"
	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
	"fieldbridge/northbound/awsiot/awsiottest/things"
	"fieldbridge/southbound/modbus/modbustest"
)

// commandRig is a gateway that is commanded by the stand-in, which lets it do
// what `fleet policy` prints and no more.
type commandRig struct {
	t       *testing.T
	file    string
	unit    *modbustest.Unit
	cloud   *awsiottest.Cloud
	gateway *runningGateway
	sensors string // address of the embedded broker
}

func newCommandRig(t *testing.T) *commandRig {
	dir := t.TempDir()
	sim := modbustest.New()
	r := &commandRig{t: t, file: filepath.Join(dir, "g.yaml"), unit: sim.Unit(1), sensors: needtest.Address(t)}
	r.unit.Set(modbustest.Holding, 0, 5, 7)
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	r.cloud = cloud
	id, err := cloud.Device("commanded")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`gateway: commanded
northbound:
  awsiot:
    endpoint: "%s"
    server_name: localhost
    certificate: certs/commanded.pem
    private_key: certs/commanded.key
    ca: "%s"
    topic: plant/{gateway}
    linger: 100ms
    commands: {topic: "plant/{gateway}/cmd", executions: true, desired: true}
    shadow: {name: gateway, every: 10s}
southbound:
  modbus:
    devices:
      boiler:
        url: "tcp://%s"
        every: 1s
        on_change: true
        points: {setpoint: {holding: 0, writable: {min: 1, max: 100}}, level: {holding: 1}}
  mqtt:
    brokers: {local: {listen: "%s", anonymous: true}}
    sensors: {hall: {broker: local, topic: "hall/{device}/{point}"}}
`, cloud.Addr(), cloud.CA(), sim.Start(t), r.sensors)
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cloud.SetPolicy(id.ID, r.policy())
	return r
}

// policy returns the policy of the configuration as the stand-in takes it.
func (r *commandRig) policy() (p rules.Policy) {
	loaded, err := configs.Load(r.t.Context(), r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	printed, err := configs.PolicyFor(map[string]*configs.Loaded{"g": loaded}, "eu-central-1", "123456789012")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range printed.Statement {
		var resources []string
		for _, arn := range s.Resource {
			resources = append(resources, strings.TrimPrefix(arn, "arn:aws:iot:eu-central-1:123456789012:"))
		}
		p = append(p, rules.Statement{Actions: s.Action, Resources: resources})
	}
	return p
}

// start runs the gateway until stop, or the test's end.
func (r *commandRig) start() {
	r.t.Helper()
	r.gateway = startGateway(r.t, r.file, io.Discard)
	eventually(r.t, "all points are good and the shadow is there", 20*time.Second, func() bool {
		s := r.gateway.Status()
		return goodPoints(s) == 2 && r.reported()["run"] == s.Run
	})
}

// reported returns what the shadow says.
func (r *commandRig) reported() map[string]any {
	var doc struct{ Reported map[string]any }
	if err := json.Unmarshal(r.cloud.Shadow("commanded", "gateway"), &doc); err != nil {
		r.t.Fatal(err)
	}
	return doc.Reported
}

// execute starts an execution and waits until the gateway has ended it. What
// came before the gateway had subscribed comes again.
func (r *commandRig) execute(payload string) (e things.Execution) {
	r.t.Helper()
	id := r.cloud.StartExecution("commanded", []byte(payload), time.Minute)
	sent := time.Now()
	eventually(r.t, "the execution has ended", 20*time.Second, func() bool {
		if e = r.cloud.Execution(id); e.Status == things.Created && time.Since(sent) > time.Second {
			r.cloud.ResendExecution(id, []byte(payload))
			sent = time.Now()
		}
		return e.ByDevice
	})
	return e
}

// commands runs the subcommand and returns what it says.
func (r *commandRig) commands(args ...string) string {
	r.t.Helper()
	code, stdout, stderr := call(r.t, slices.Concat([]string{"commands"}, args, []string{r.file})...)
	if code != exitDone {
		r.t.Errorf("commands %v: exit code %d: %s", args, code, stderr)
	}
	return stdout + stderr
}

func TestCommandsEndToEnd(t *testing.T) {
	t.Parallel()
	r := newCommandRig(t)
	r.start()
	if e := r.execute(`{"device":"boiler","point":"setpoint","value":60}`); e.Status != things.Succeeded ||
		r.unit.Get(modbustest.Holding, 0, 1)[0] != 60 {
		t.Errorf("write: %+v", e)
	}
	if e := r.execute(`{"device":"boiler","point":"setpoint","value":101}`); e.Status != things.Rejected ||
		!strings.Contains(e.Description, "above max 100") {
		t.Errorf("write too much: %+v", e)
	}
	before := r.gateway.Status().Queue.Ledger.Accepted.Readings
	if e := r.execute(`{"action":"read","device":"boiler","points":["level"]}`); e.Status != things.Succeeded ||
		string(e.Result["points"]) != `{"s":"{\"level\":7}"}` {
		t.Errorf("read: %+v %s", e, e.Result)
	}
	// The level has not changed, and is delivered; and so is the audit record.
	if n := r.gateway.Status().Queue.Ledger.Accepted.Readings - before; n < 6 {
		t.Errorf("a read made %d readings, want 1 and the record of 5", n)
	}
	// A longer interval: a shorter one is refused where a busy machine makes the
	// requests of a cycle long, since it would not fit the bus.
	e := r.execute(`{"action":"interval","device":"boiler","every":"2s","for":"10m"}`)
	if e.Status != things.Succeeded {
		t.Errorf("interval: %+v", e)
	}
	status := r.gateway.Status()
	if len(status.Intervals) != 1 || status.Intervals[0].Every != 2*time.Second {
		t.Errorf("status: %+v", status.Intervals)
	}
	var text bytes.Buffer
	tell.Status(&text, status)
	for _, want := range []string{"commands by topic plant/{gateway}/cmd, AWS IoT Commands, shadow gateway",
		"boiler is polled every 2s instead of 1s for "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("status for people: %s is not in\n%s", want, text.String())
		}
	}
	// It is told every 10 s; a change of others in between costs one more turn, or a
	// retry.
	eventually(t, "the shadow tells the interval and the load", 35*time.Second, func() bool {
		intervals, _ := r.reported()["intervals"].(map[string]any)
		buses, _ := r.reported()["buses"].(map[string]any)
		return intervals["boiler"] != nil && len(buses) == 1
	})
	r.cloud.UpdateShadow("commanded", "gateway",
		fmt.Sprintf(`{"state":{"desired":{"command":{"id":"s1","at":%d,"action":"read","device":"boiler"}}}}`,
			time.Now().UnixMilli()))
	eventually(t, "the shadow has the outcome", 20*time.Second, func() bool {
		outcome, _ := r.reported()["command_outcome"].(map[string]any)
		return outcome["id"] == "s1" && outcome["outcome"] == "done"
	})
}

func TestSensorsTakeNoCommands(t *testing.T) {
	need(t, "mosquitto_pub")
	t.Parallel()
	r := newCommandRig(t)
	r.start()
	host, port, _ := strings.Cut(r.sensors, ":")
	if out, err := exec.Command("mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-t", "hall/roof/wind", "-m",
		"3").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the sensor is known", 10*time.Second, func() bool {
		return slices.ContainsFunc(r.gateway.Status().Devices, func(d bridge.DeviceStatus) bool { return d.Device == "roof" })
	})
	for _, payload := range []string{`{"action":"read","device":"roof"}`,
		`{"action":"interval","device":"roof","every":"1s","for":"1m"}`,
		`{"device":"roof","point":"wind","value":1}`} {
		if e := r.execute(payload); e.Status != things.Rejected || !strings.Contains(e.Description, "speaks by itself") {
			t.Errorf("%s: %+v", payload, e)
		}
	}
}

func TestCommandsOff(t *testing.T) {
	t.Parallel()
	r := newCommandRig(t)
	if code, _, _ := call(t, "commands", r.file); code != exitFailed {
		t.Errorf("exit code %d where no gateway ever ran", code)
	}
	r.start()
	const setpoint = `{"device":"boiler","point":"setpoint","value":60}`
	if got := r.commands(); !strings.HasPrefix(got,
		"commands of the cloud are on, by topic plant/{gateway}/cmd, AWS IoT Commands") {
		t.Error(got)
	}
	refused := func(when string) {
		t.Helper()
		if e := r.execute(setpoint); e.Status != things.Rejected ||
			e.Description != "commands are switched off on the machine" || r.unit.Get(modbustest.Holding, 0, 1)[0] != 5 {
			t.Errorf("%s: %+v", when, e)
		}
	}
	if got := r.commands("off"); !strings.Contains(got, "none is under way, and none will be carried out") {
		t.Error(got)
	}
	refused("off")
	eventually(t, "the shadow says so", 20*time.Second, func() bool { return r.reported()["commands"] == "off" })
	var text bytes.Buffer
	if tell.Status(&text, r.gateway.Status()); !strings.Contains(text.String(),
		"commands switched off on the machine for") {
		t.Error(text.String())
	}
	r.gateway.stop()
	if got := r.commands(); !strings.Contains(got, "off since") || !strings.Contains(got, "no gateway is running") {
		t.Error(got)
	}
	r.start()
	refused("off after a restart")
	r.gateway.stop()
	if got := r.commands("on"); !strings.Contains(got, "on, as far as they are configured; no gateway is running") {
		t.Error(got)
	}
	if got := r.commands("off"); !strings.Contains(got, "off since") {
		t.Error(got)
	}
	r.start()
	refused("off while it was stopped")
	if got := r.commands("on"); !strings.Contains(got, "are on, by") {
		t.Error(got)
	}
	if e := r.execute(setpoint); e.Status != things.Succeeded || r.unit.Get(modbustest.Holding, 0, 1)[0] != 60 {
		t.Errorf("on again: %+v", e)
	}
	if code, _, stderr := call(t, "commands", "of", r.file); code != exitUsage {
		t.Errorf("a word that is not a command: exit code %d, %s", code, stderr)
	}
}

// TestMosquittoAsks has mosquitto's request-and-response client ask by the
// commands topic: the answer comes to its response topic.
func TestMosquittoAsks(t *testing.T) {
	need(t, "mosquitto_rr")
	t.Parallel()
	r := newCommandRig(t)
	// A policy lets the gateway answer where the configuration allows it.
	id, err := r.cloud.Device("commanded")
	if err != nil {
		t.Fatal(err)
	}
	r.cloud.SetPolicy(id.ID,
		append(r.policy(), rules.Statement{Actions: []string{"iot:Publish"}, Resources: []string{"topic/answers/*"}}))
	r.start()
	app, err := r.cloud.Device("app")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(command string) map[string]any {
		t.Helper()
		_, port, _ := net.SplitHostPort(r.cloud.Addr())
		out, err := exec.CommandContext(t.Context(), "mosquitto_rr", "-V", "5", "-h", "localhost", "-p", port, "--cafile",
			r.cloud.CA(), "--cert", app.Certificate,
			"--key", app.PrivateKey, "-i", "app", "-q", "1", "-W", "20", "-t", "plant/commanded/cmd", "-e", "answers/app", "-m",
			command).Output()
		var answer map[string]any
		if err != nil || json.Unmarshal(out, &answer) != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return answer
	}
	read := fmt.Sprintf(`{"id":"r1","at":%d,"action":"read","device":"boiler"}`, time.Now().UnixMilli())
	first := ask(read)
	if first["outcome"] != "done" || first["id"] != "r1" || fmt.Sprint(first["points"]) != "map[level:7 setpoint:5]" {
		t.Errorf("%v", first)
	}
	if again := ask(read); again["again"] != true || again["outcome"] != "done" {
		t.Errorf("the same again: %v", again)
	}
}

// TestKilledWhileWriting kills the process after the device got the write and
// before anyone knows what became of it. It is not written again, and the cloud
// is told that nobody knows.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	bin, err := testBinary()
	if err != nil {
		t.Fatal(err)
	}
	r := newCommandRig(t)
	// The kill must come before the write is given up, on a busy machine, too.
	text, err := os.ReadFile(r.file)
	if err == nil {
		text = bytes.Replace(text, []byte("        every: 1s\n"), []byte("        every: 1s\n        timeout: 50s\n"), 1)
		err = os.WriteFile(r.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	const writeSingle = 6
	writes := func() (n int) {
		for _, q := range r.unit.Requests() {
			if q.Function == writeSingle {
				n++
			}
		}
		return n
	}
	r.unit.Always(func(q modbustest.Request, a *modbustest.Answer) {
		if q.Function == writeSingle {
			modbustest.Late(time.Minute)(q, a)
		}
	})
	first := spawn(t, filepath.Dir(r.file), bin, "run", r.file)
	payload := []byte(`{"device":"boiler","point":"setpoint","value":60}`)
	id := r.cloud.StartExecution("commanded", payload, time.Hour)
	sent := time.Now()
	eventually(t, "the device got the write", 20*time.Second, func() bool {
		if r.cloud.Execution(id).Status == things.Created && time.Since(sent) > time.Second {
			r.cloud.ResendExecution(id, payload)
			sent = time.Now()
		}
		return writes() > 0
	})
	first.signal(syscall.SIGKILL, 5*time.Second)
	if e := r.cloud.Execution(id); e.ByDevice {
		t.Fatalf("ended before the kill: %+v", e)
	}
	before := writes() // the write was tried again within the first process if it had the time
	r.unit.Always()
	spawn(t, filepath.Dir(r.file), bin, "run", r.file)
	eventually(t, "the cloud is told", 20*time.Second, func() bool { return r.cloud.Execution(id).ByDevice })
	if e := r.cloud.Execution(id); e.Status != things.Failed || e.Code != "UNKNOWN" {
		t.Errorf("%+v", e)
	}
	r.cloud.ResendExecution(id, payload)
	if e := r.execute(`{"action":"read","device":"boiler"}`); e.Status != things.Succeeded { // comes after it
		t.Errorf("%+v", e)
	}
	if n := writes() - before; n != 0 {
		t.Errorf("%d writes after the kill", n)
	}
}
