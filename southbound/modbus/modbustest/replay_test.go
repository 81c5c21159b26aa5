package modbustest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"fieldbridge/blackbox"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// session asks three units what a gateway might, and tells what came of it. Units from
// absent on are not there.
func session(t *testing.T, at wire.Address, dial func(context.Context) (wire.Stream, error),
	absent byte) (outcomes []string) {
	t.Helper()
	link := wire.Place{Address: at, ConnectTimeout: 10 * time.Second, Pipeline: 1}.Link(dial)
	defer link.Close()
	client := wire.NewClient(link)
	for _, unit := range []byte{1, 1, 2, 1, 3, 1} {
		patience := 30 * time.Second // a busy machine may want it
		if unit >= absent {
			patience = 300 * time.Millisecond
		}
		client.To(t.Context(), unit, patience)
		data, err := client.Read(wire.Holding, 7, 3)
		var exception *wire.ExceptionError
		var protocol *wire.ProtocolError
		switch {
		case errors.As(err, &exception):
			outcomes = append(outcomes, fmt.Sprint("exception ", exception.Code))
		case errors.Is(err, wire.ErrTimeout):
			outcomes = append(outcomes, "timeout")
		case errors.As(err, &protocol):
			outcomes = append(outcomes, "protocol")
		case err != nil:
			outcomes = append(outcomes, "broken")
		default:
			outcomes = append(outcomes, fmt.Sprintf("% x", data))
		}
	}
	return outcomes
}

func dialer(address string) func(context.Context) (wire.Stream, error) {
	return func(ctx context.Context) (wire.Stream, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
}

// play serves a replay until the test ends, and returns where.
func play(t *testing.T, p *modbustest.Replay) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = p.Serve(ctx, l) })
	t.Cleanup(func() { cancel(); served.Wait() })
	return l.Addr().String()
}

// A session against devices that misbehave, recorded and written to a file, is the
// same when the file plays the devices.
func TestReplay(t *testing.T) {
	for _, framing := range []struct {
		scheme  string
		framing modbustest.Framing
	}{{"tcp", modbustest.TCP}, {"rtu+tcp", modbustest.RTU}, {"ascii+tcp", modbustest.ASCII}} {
		t.Run(framing.scheme, func(t *testing.T) {
			t.Parallel()
			sim := modbustest.New()
			sim.Framing = framing.framing
			one, two := sim.Unit(1), sim.Unit(2)
			one.Set(modbustest.Holding, 7, 1, 2, 3)
			two.Set(modbustest.Holding, 7, 4, 5, 6)
			if framing.framing.Lined() {
				two.Always(modbustest.CRCError)
			} else {
				two.Always(modbustest.Exception(6))
			}
			at := wire.Address{Scheme: framing.scheme, Host: sim.Start(t)}
			r := blackbox.New()
			want := session(t, at, wire.Recorded(dialer(at.Host), "plc", at, r), 3)

			var file bytes.Buffer
			if err := r.Recordings()[0].Write(&file, func([]byte, int) string { return "" }); err != nil {
				t.Fatal(err)
			}
			all, err := blackbox.Read(&file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := modbustest.NewReplay(all[0])
			if err != nil {
				t.Fatal(err)
			}
			if p.Framing != framing.framing || p.Requests() < 6 || fmt.Sprint(p.Units()) != "[1 2 3]" {
				t.Errorf("framing %v, %d requests of %v", p.Framing, p.Requests(), p.Units())
			}
			got := session(t, at, dialer(play(t, p)), 3)
			if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(want[0], want[4]) != "00 01 00 02 00 03timeout" {
				t.Errorf("played %v, recorded %v", got, want)
			}
		})
	}
}

// What was not recorded is answered from what was.
func TestReplayOfAnotherPlan(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(1).Set(modbustest.Holding, 7, 1, 2, 3)
	at := wire.Address{Scheme: "tcp", Host: sim.Start(t)}
	r := blackbox.New()
	session(t, at, wire.Recorded(dialer(at.Host), "plc", at, r), 2)
	p, err := modbustest.NewReplay(r.Recordings()[0])
	if err != nil {
		t.Fatal(err)
	}
	p.Fast = true
	link := wire.Place{Address: at, ConnectTimeout: 10 * time.Second}.Link(dialer(play(t, p)))
	defer link.Close()
	client := wire.NewClient(link)
	client.To(t.Context(), 1, 10*time.Second)
	if data, err := client.Read(wire.Holding, 8, 2); err != nil || !bytes.Equal(data, []byte{0, 2, 0, 3}) {
		t.Errorf("a part of it: % x, %v", data, err)
	}
	var exception *wire.ExceptionError
	if _, err := client.Read(wire.Holding, 8, 3); !errors.As(err, &exception) || exception.Code != 2 {
		t.Errorf("more than it: %v", err)
	}
	if answer, err := client.Raw([]byte{6, 0, 7, 0, 1}); err != nil || !bytes.Equal(answer, []byte{0x86, 1}) {
		t.Errorf("a write: % x, %v", answer, err)
	}
	if got := fmt.Sprint(p.Strange()); got != "[01 03 00 08 00 02 01 03 00 08 00 03 01 06 00 07 00 01]" {
		t.Errorf("strange: %v", got)
	}
}

func TestReplayOfNothing(t *testing.T) {
	for _, at := range []string{"tcp://plc:502", "mqtt", "mqtts://broker"} {
		if _, err := modbustest.NewReplay(blackbox.Recording{Tape: "x", At: at}); err == nil {
			t.Errorf("%s can be played", at)
		}
	}
}
