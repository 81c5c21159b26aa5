package wire_test

import (
	"encoding/binary"
	"testing"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestPilot9Copies: a unit that answers twice, at once or a while later, never has
// one request's answer taken for another's, and all are read.
func TestPilot9Copies(t *testing.T) {
	for name, act := range map[string]modbustest.Behaviour{"at once": modbustest.Twice,
		"soon": modbustest.TwiceApart(5 * time.Millisecond), "later": modbustest.TwiceApart(25 * time.Millisecond)} {
		bubble(t, name, modbustest.RTU, func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
			unit.Always(act)
			readRow(t, o, 20, 20)
		})
	}
}

// TestPilot9CopyOfARefusal: a copy of an exception is not the answer to the next
// request.
func TestPilot9CopyOfARefusal(t *testing.T) {
	bubble(t, "", modbustest.RTU, func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
		link := wire.NewRTU(o)
		defer link.Close()
		client := wire.NewClient(link)
		client.To(t.Context(), 1, timeout)
		unit.Only(modbustest.Holding, 0, 100)
		unit.Always(modbustest.TwiceApart(20 * time.Millisecond))
		for i := range 10 {
			if data, err := client.Read(wire.Holding, 200, 1); outcome(data, err, 0) != "exception 2" {
				t.Errorf("%d: %v, want exception 2", i, err)
			}
			if data, err := client.Read(wire.Holding, 10, 2); outcome(data, err, 10) != "right" {
				t.Errorf("%d: %v, %v, want that of 10", i, data, err)
			}
		}
	})
}

// TestVeryLate: answers that come when their requests were given up long ago are
// never taken for those of others.
func TestVeryLate(t *testing.T) {
	bubble(t, "", modbustest.RTU, func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
		unit.Always(modbustest.Late(2*timeout + timeout/3))
		readRow(t, o, 60, 0)
		unit.Always()
		time.Sleep(20 * time.Second)
		readRow(t, o, 10, 10)
	})
}

// readRow reads n times, each time other addresses, and wants no value of
// another's and that many right ones.
func readRow(t *testing.T, o wire.Options, n, want int) {
	t.Helper()
	link := wire.NewRTU(o)
	defer link.Close()
	client := wire.NewClient(link)
	client.To(t.Context(), 1, timeout)
	right := 0
	for i := range n {
		at := uint16(10 * i)
		data, err := client.Read(wire.Holding, at, 2)
		switch outcome(data, err, at) {
		case "right":
			right++
		case "WRONG VALUE":
			t.Fatalf("read %d: %x", i, data)
		}
	}
	if right < want {
		t.Errorf("%d of %d read, want %d", right, n, want)
	}
}

// TestEqualRegisters: two requests whose answers are equal are asked once more,
// then believed for a minute; a change arrives all the same.
func TestEqualRegisters(t *testing.T) {
	bubble(t, "", modbustest.RTU, func(t *testing.T, _ *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
		link := wire.NewRTU(o)
		defer link.Close()
		client := wire.NewClient(link)
		client.To(t.Context(), 1, timeout)
		unit.Set(modbustest.Holding, 10, 0)
		unit.Set(modbustest.Holding, 20, 0)
		read := func(at uint16) uint16 {
			data, err := client.Read(wire.Holding, at, 1)
			if err != nil {
				t.Fatal(err)
			}
			return binary.BigEndian.Uint16(data)
		}
		for range 50 {
			if a, b := read(10), read(20); a != 0 || b != 0 {
				t.Fatal(a, b)
			}
		}
		if n := unit.Count(); n > 102 {
			t.Errorf("%d requests for 100 reads, want one more for each pair", n)
		}
		unit.Set(modbustest.Holding, 20, 7)
		if a, b := read(10), read(20); a != 0 || b != 7 {
			t.Errorf("%d, %d, want 0, 7", a, b)
		}
		time.Sleep(time.Minute)
		unit.Set(modbustest.Holding, 20, 0)
		before := unit.Count()
		if read(10); read(20) != 0 || unit.Count()-before != 3 {
			t.Errorf("%d requests after a minute, want 3", unit.Count()-before)
		}
	})
}
