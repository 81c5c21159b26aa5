package glance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/configs"
	"fieldbridge/needtest"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/mqtt/mqtttest"
)

// glanceOf returns a look at what southbound names, whose gateway does not run.
func glanceOf(t *testing.T, southbound string) (g *Glance, data, people *bytes.Buffer) {
	t.Helper()
	l, err := configs.Parse("f.yaml", fmt.Appendf(nil, `
gateway: cabinet
northbound: {awsiot: {endpoint: "127.0.0.1:1", certificate: none.pem, private_key: none.key, topic: t}}
store: {dir: %q}
southbound:
%s`, filepath.Join(t.TempDir(), "queue"), southbound))
	if err != nil {
		t.Fatal(err)
	}
	data, people = new(bytes.Buffer), new(bytes.Buffer)
	return &Glance{Config: &l.Config, Data: data, People: people}, data, people
}

// buses returns three buses of four devices each, of which the third device of each
// bus does not answer: its bus says so, so that nothing here is a matter of time.
func buses(t *testing.T) string {
	t.Helper()
	var bus, device strings.Builder
	for b := range 3 {
		sim := modbustest.New()
		for u := range 4 {
			unit := sim.Unit(byte(u + 1))
			unit.Set(modbustest.Holding, 0, uint16(10*b+u))
			if u == 2 {
				unit.Always(modbustest.Exception(11))
			}
			fmt.Fprintf(&device, "      d%d%d: {bus: b%d, unit_id: %d, points: {x: {holding: 0}}}\n", u, b, b, u+1)
		}
		fmt.Fprintf(&bus, "      b%d: {url: \"tcp://%s\", timeout: 1m, retries: 0}\n", b, sim.Start(t))
	}
	return "  modbus:\n    buses:\n" + bus.String() + "    devices:\n" + device.String()
}

// Buses are read side by side, devices are told in their order, and one that does not
// answer costs the others nothing but time.
func TestOnceReadsAllBuses(t *testing.T) {
	g, data, people := glanceOf(t, buses(t))
	err := g.Once(t.Context())
	if err == nil || err.Error() != "3 of 12 devices are not read" {
		t.Errorf("%v", err)
	}
	at := -1
	for u := range 4 {
		for b := range 3 {
			i := strings.Index(data.String(), fmt.Sprintf("d%d%d: unit %d on tcp://", u, b, u+1))
			if i <= at {
				t.Errorf("d%d%d stands at %d, after %d", u, b, i, at)
			}
			at = i
		}
	}
	if n := strings.Count(data.String(), "gets no answer from the unit"); n != 3 {
		t.Errorf("%d devices without an answer", n)
	}
	if t.Failed() {
		t.Logf("%s%s", data, people)
	}

	g.JSON = true
	data.Reset()
	_ = g.Once(t.Context()) // the same error
	var all found
	if err := json.Unmarshal(data.Bytes(), &all); err != nil || all.OK || all.Running || len(all.Devices) != 12 {
		t.Fatalf("%v: %s", err, data)
	}
	for _, d := range all.Devices {
		if (d.Unit == 3) != (d.Error != "") || d.Error == "" && len(d.Points) != 1 {
			t.Errorf("%+v", d)
		}
	}
}

// Who is asked while all devices are read ends soon, and says that it was stopped.
func TestOnceIsStopped(t *testing.T) {
	sim := modbustest.New()
	ctx, cancel := context.WithCancel(t.Context())
	sim.Unit(1).Always(func(_ modbustest.Request, a *modbustest.Answer) {
		cancel()
		a.Copies = 0
	})
	g, _, _ := glanceOf(t, fmt.Sprintf(`  modbus:
    buses: {b: {url: "tcp://%s", timeout: 5m}}
    devices: {d: {bus: b, points: {x: {holding: 0}}}}`, sim.Start(t)))
	if err := g.Once(ctx); err == nil || err.Error() != "stopped" {
		t.Errorf("%v", err)
	}
}

// Many sensors speak at once while what they said is told again and again: all are
// heard, with their units, and none is told that its message is safe.
func TestEar(t *testing.T) {
	const sensors = 6
	address := needtest.Address(t)
	g, _, _ := glanceOf(t, fmt.Sprintf(`  mqtt:
    brokers: {local: {listen: %q}}
    sensors:
      hall: {broker: local, topic: "hall/{device}/temperature", point: temperature, unit: "°C"}
      gate: {broker: local, topic: "gate/{device}", point: open}`, address))
	g.Listen = time.Minute
	e, closed, err := g.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var acked atomic.Int32
	var speaking sync.WaitGroup
	for i := range sensors {
		s := &mqtttest.Sensor{Addr: address, ID: fmt.Sprint("s", i), Every: time.Millisecond,
			Read:  func() (string, string) { return fmt.Sprintf("hall/s%d/temperature", i), fmt.Sprint(20 + i) },
			Acked: func(string, string) { acked.Add(1) }}
		speaking.Go(func() { s.Run(ctx) })
	}
	var h *heard
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if h = g.report(ctx, "", e); len(h.Devices) == sensors {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	speaking.Wait()
	closed()
	if len(h.Devices) != sensors || len(h.Silent) != 1 || h.Silent[0] != "gate" || h.Problems != nil {
		t.Fatalf("%+v", h)
	}
	for i, d := range h.Devices {
		if p := d.Points[0]; d.Device != fmt.Sprint("s", i) || p.Text != fmt.Sprint(20+i) || p.Unit != "°C" {
			t.Errorf("%+v", d)
		}
	}
	if n := acked.Load(); n != 0 {
		t.Errorf("%d messages were acknowledged, and nobody keeps them", n)
	}
	var text bytes.Buffer
	h.print(&text)
	if !strings.Contains(text.String(), "no message came for: gate\n") {
		t.Error(text.String())
	}
}

// Watch shows page after page until it is stopped.
func TestWatch(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 0, 7)
	g, _, _ := glanceOf(t, fmt.Sprintf(`  modbus:
    buses: {b: {url: "tcp://%s"}}
    devices: {d: {bus: b, points: {x: {holding: 0}}}}`, sim.Start(t)))
	ctx, cancel := context.WithCancel(t.Context())
	pages := &pageWriter{after: 3, then: cancel}
	g.Data, g.People = pages, io.Discard
	if err := g.Watch(ctx, time.Millisecond); err != nil {
		t.Error(err)
	}
	if n := strings.Count(pages.text.String(), "d: unit 1 on tcp://"); n < 3 {
		t.Errorf("%d pages: %s", n, pages.text.String())
	}
}

// pageWriter does something after so many pages.
type pageWriter struct {
	text  bytes.Buffer
	after int
	then  func()
}

func (w *pageWriter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("d: unit 1")) {
		if w.after--; w.after == 0 {
			w.then()
		}
	}
	return w.text.Write(b)
}
